"""Messages of others: adopted, refused with a reason, or put aside; the worker lives."""

import base64
import json
import pickle  # noqa: TID251 -- to be refused
import zlib

import pytest
import redis
from celery import Celery

from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.messages import INTAKE, PLAIN, RINGS, envelope
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until


def without(message: dict, *names: str) -> dict:
    """Leave some parts out."""
    return {key: value for key, value in message.items() if key not in names}


def bad_messages() -> dict[str, bytes | str]:
    """Return every shape that ends, wedges or fools a stock worker, and some more."""
    plain = envelope()
    shapes: dict[str, object] = {
        "envelope not JSON": b"{not json",
        "envelope a scalar": b"42",
        "envelope a list": b"[1,2]",
        "not UTF-8": b"\xff\xfe\x00",
        "body not base64": {**plain, "body": "%%%"},
        "body a number": {**plain, "body": 7},
        "body a JSON object": envelope(body={"a": 1}),
        "body a 2-item list": envelope(body=[[], {}]),
        "body a JSON scalar": envelope(body=5),
        "body not JSON": envelope(raw_body=b"nonsense"),
        "args a string": envelope(body=["abc", {}, {}]),
        "kwargs a list": envelope(body=[[], [1], {}]),
        "pickle": envelope(raw_body=pickle.dumps({"x": 1}), content_type="application/x-python-serialize"),
        "yaml": envelope(content_type="application/x-yaml"),
        "unknown content type": envelope(content_type="text/weird"),
        "task header a list": envelope(task=["a"]),  # type: ignore[arg-type]  # wrong on purpose
        "no id header": {**plain, "headers": {"task": "sample.echo"}},
        "id header a number": envelope(id=5),
        "headers null": {**plain, "headers": None},
        "headers a list": {**plain, "headers": []},
        "no properties": without(plain, "properties"),
        "no delivery tag": {**plain, "properties": {"delivery_info": {}}},
        "delivery info null": {**plain, "properties": {"delivery_tag": "x", "delivery_info": None}},
        "unknown task": envelope(task="nobody.knows"),
        "eta in the year 9999": envelope(
            task="plain.multiply", body=[[1, 2], {}, {}], eta="9999-12-31T23:59:59"
        ),
        "bad eta": envelope(task="plain.multiply", body=[[1, 2], {}, {}], eta="soon"),
        "a ring of another ledger": envelope(holdfast={"ring": 1, "ledger": "somebody-else"}),
        "a ring without a row": envelope(holdfast={"ring": 1, "ledger": "LEDGER"}),
        "a ring of a strange protocol": envelope(holdfast={"ring": "x"}),
    }
    return {name: shape if isinstance(shape, bytes) else json.dumps(shape) for name, shape in shapes.items()}


def test_no_bad_message_ends_or_wedges_the_worker(embedded: Platform):
    """Each bad shape is followed by a good job that runs in the same process; nothing stays on the queue."""
    worker = embedded.worker()
    server = redis.Redis.from_url(embedded.broker_url)
    pid = worker.worker_pid
    for name, message in bad_messages().items():
        text = (
            message.replace(b"LEDGER", embedded.ledger.ledger_id.encode())
            if isinstance(message, bytes)
            else message
        )
        server.lpush(
            RINGS, text.replace("LEDGER", embedded.ledger.ledger_id) if isinstance(text, str) else text
        )
        canary = sample_tasks.echo.enqueue_sync(name)
        assert name == canary.result_sync(timeout_seconds=5), name
    assert worker.is_running
    assert pid == worker.worker_pid
    until(lambda: server.llen(RINGS) == 0, what="an empty queue")
    kept = until(
        lambda: len(embedded.ledger.quarantine.listed(100)) >= 18 and embedded.ledger.quarantine.listed(100)
    )
    assert any(b"{not json" == message.raw for message in kept)
    assert {QuarantineReason.UNDECODABLE, QuarantineReason.UNKNOWN_TASK} <= {
        message.reason for message in kept
    }
    assert "Re-establishing" not in worker.log
    assert "Trying to reconnect" not in worker.log


def test_a_plain_celery_producer_is_served(embedded: Platform):
    """Five lines that know the broker's address and the task's name get a job done; AsyncResult reads it."""
    embedded.worker()
    producer = Celery(broker=embedded.broker_url)
    result = producer.send_task("sample.echo", kwargs={"text": "from far away"})
    assert "from far away" == embedded.app.AsyncResult(result.id).get(timeout=10)
    job = embedded.ledger.job(result.id)
    assert ("broker", 1) == (job.principal, job.attempt)


def test_celery_options_become_columns(embedded: Platform):
    """A countdown waits in the ledger, a time limit counts, positional arguments are bound."""
    embedded.worker()
    producer = Celery(broker=embedded.broker_url)
    later = producer.send_task("sample.add", args=(20, 22), countdown=1.0)
    until(lambda: later.id in embedded.ledger.find([later.id]), what="the adopted row")
    assert JobState.SCHEDULED == embedded.ledger.job(later.id).state
    assert 42 == embedded.app.AsyncResult(later.id).get(timeout=10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kwargs": {"text": 5, "more": 1}}, "more"),
        ({"kwargs": {}}, "text"),
        ({"kwargs": {"text": "x"}, "chain": [{"task": "a"}]}, "chain"),
        ({"kwargs": {"text": "x"}, "group_id": "g1"}, "group"),
    ],
)
def test_what_cannot_be_kept_answers_with_failure(embedded: Platform, options, words):
    """A message that may not run is quarantined, and its producer's get() ends."""
    embedded.worker()
    producer = Celery(broker=embedded.broker_url)
    result = producer.send_task("sample.echo", **options)
    answer = embedded.app.AsyncResult(result.id)
    with pytest.raises(Exception, match=words):
        answer.get(timeout=10)
    assert [words in message.detail for message in embedded.ledger.quarantine.listed()] == [True]


def test_an_adopted_id_runs_once_even_after_its_row_was_pruned(embedded: Platform):
    """The same message again runs nothing, although its job was completed and pruned in between."""
    worker = embedded.worker(completed_retention_seconds=60)
    server = redis.Redis.from_url(embedded.broker_url)
    message = json.dumps(envelope(queue="celery"))
    job_id = json.loads(message)["headers"]["id"]
    server.lpush("celery", message)
    embedded.until_all_exist([job_id])
    embedded.until_all([job_id], JobState.COMPLETED)
    embedded.ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=100)
    assert not embedded.ledger.find([job_id])
    server.lpush("celery", message)
    canary = sample_tasks.echo.enqueue_sync("canary")
    assert "canary" == canary.result_sync(timeout_seconds=10)
    until(lambda: server.llen("celery") == 0, what="an empty intake")
    assert not embedded.ledger.find([job_id])
    changed = json.loads(message)
    changed["body"] = base64.b64encode(json.dumps([[], {"text": "other"}, {}]).encode()).decode()
    server.lpush("celery", json.dumps(changed))
    until(
        lambda: [m.reason for m in embedded.ledger.quarantine.listed()] == ["id_reused"],
        what="the quarantine",
    )
    assert worker.is_running


def test_a_ring_for_a_job_of_old_runs_nothing(embedded: Platform):
    """A ring that comes again after its job was completed, or pruned, is dropped."""
    embedded.worker()
    server = redis.Redis.from_url(embedded.broker_url)
    job = sample_tasks.echo.enqueue_sync("once")
    assert "once" == job.result_sync(timeout_seconds=10)
    ring = envelope(holdfast={"ring": 1, "ledger": embedded.ledger.ledger_id})
    ring["headers"]["id"] = job.id
    for _ in range(3):
        server.lpush(RINGS, json.dumps(ring))
    embedded.ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=100)
    server.lpush(RINGS, json.dumps(ring))
    until(lambda: server.llen(RINGS) == 0, what="the rings to be taken")
    assert "canary" == sample_tasks.echo.enqueue_sync("canary").result_sync(timeout_seconds=10)
    assert not embedded.ledger.find([job.id])
    assert not embedded.ledger.quarantine.listed()


def test_garbage_on_the_intake_is_kept_and_delays_nobody(embedded: Platform):
    """Each unreadable envelope on the intake is put aside, and a good message behind 50 of them is served."""
    embedded.worker()
    server = redis.Redis.from_url(embedded.broker_url)
    shapes = [text for name, text in bad_messages().items() if "envelope" in name or "properties" in name]
    for number in range(50):
        server.lpush("celery", shapes[number % len(shapes)])
    sent = Celery(broker=embedded.broker_url).send_task("sample.echo", kwargs={"text": "behind"})
    assert "behind" == embedded.app.AsyncResult(sent.id).get(timeout=10)
    until(
        lambda: sum(message.count for message in embedded.ledger.quarantine.listed(100)) >= 50,
        what="the quarantine",
    )


def test_a_background_task_that_exits_ends_neither_loop_nor_neighbours(embedded: Platform):
    """sys.exit() in a task that a handler left behind, and loop.stop(), disturb no other job."""
    worker = embedded.worker()
    beside = sample_tasks.wait.enqueue_sync(1.0)
    for way in ("exit", "stop"):
        assert way == sample_tasks.saboteur.enqueue_sync(way).result_sync(timeout_seconds=10)
    assert 1.0 == beside.result_sync(timeout_seconds=10)
    assert "after" == sample_tasks.echo.enqueue_sync("after").result_sync(timeout_seconds=5)
    assert 1 == embedded.ledger.job(beside.id).attempt
    assert worker.is_running


@pytest.mark.parametrize("queue", [INTAKE, RINGS, PLAIN])
def test_bodies_that_do_not_decompress_stop_no_queue(embedded: Platform, queue):
    """More of them than any window holds: each is put aside once, and let go."""
    embedded.worker(worker_ring_window=16)
    server = redis.Redis.from_url(embedded.broker_url)
    bomb = zlib.compress(b"0" * 50_000_000)
    for number in range(70):
        body = bomb if number % 10 == 0 else b"not compressed"
        server.lpush(queue, json.dumps(envelope(raw_body=body, compression="gzip")))
    sent = Celery(broker=embedded.broker_url).send_task("plain.multiply", args=(6, 7), queue=queue)
    assert 42 == embedded.app.AsyncResult(sent.id).get(timeout=10)
    until(lambda: embedded.ledger.quarantine.count().count == 70, what="the quarantine")
    assert {(1, QuarantineReason.UNDECODABLE)} == {
        (one.count, one.reason) for one in embedded.ledger.quarantine.listed(100)
    }
    assert not server.exists("unacked")


@pytest.mark.parametrize(
    "headers", [{"shadow": ["a"]}, {"timelimit": "%s"}, {"eta": "0001-01-01T00:00:00+23:59"}, {"stamps": 7}]
)
def test_headers_that_celery_trips_over_stop_no_queue(embedded: Platform, headers):
    """Celery takes such a message, and then neither runs it nor lets it go; here it is put aside."""
    embedded.worker(worker_ring_window=16)
    server = redis.Redis.from_url(embedded.broker_url)
    for _ in range(20):
        server.lpush(PLAIN, json.dumps(envelope("plain.multiply", [[6, 7], {}, {}], **headers)))
    sent = Celery(broker=embedded.broker_url).send_task("plain.multiply", args=(6, 7))
    assert 42 == embedded.app.AsyncResult(sent.id).get(timeout=10)
    until(lambda: embedded.ledger.quarantine.count().count == 20, what="the quarantine")


def test_a_ring_at_the_intake_makes_no_job(embedded: Platform):
    """It is dropped, its row or not: adopted, it would be a job without arguments."""
    embedded.worker()
    server = redis.Redis.from_url(embedded.broker_url)
    ring = envelope(body=[[], {}, {}], holdfast={"ring": 1, "ledger": embedded.ledger.ledger_id})
    server.lpush(INTAKE, json.dumps(ring))
    sent = Celery(broker=embedded.broker_url).send_task("sample.echo", kwargs={"text": "behind"})
    assert "behind" == embedded.app.AsyncResult(sent.id).get(timeout=10)
    assert not embedded.ledger.find([ring["headers"]["id"]])
    assert not embedded.ledger.quarantine.listed()
