"""The same promises on RabbitMQ, whose quorum queues are the second doorbell."""

from collections.abc import Iterator
from pathlib import Path

import amqp
import pytest
from celery import Celery
from kombu import Connection

from holdfast.jobs.errors import MessageNotReplayable
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.integration.workers.test_pause import pause_and_resume
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.messages import INTAKE, PLAIN, RINGS
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import RabbitMQServer
from holdfast.tests.support.waiting import until
from holdfast.workers.replay import Replayer

pytestmark = pytest.mark.rabbitmq


def nested(depth: int) -> dict:
    """A table in a table in a table."""
    table: dict = {}
    for _ in range(depth):
        table = {"a": table}
    return table


UNREADABLE = (
    {"content_type": b"\xff\xfe"},
    {"application_headers": {"task": "sample.echo"}, "reply_to": b"\xff"},
    {"application_headers": {"compression": "gzip"}},
    {"application_headers": nested(400)},
)
TOO_LARGE = b"[" * (2 * 1024 * 1024 + 1)


@pytest.fixture
def rabbit(rabbitmq_server: RabbitMQServer, sqlite_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on RabbitMQ and SQLite; rings left by an earlier test name another ledger."""
    with platform(tmp_path, broker_url=rabbitmq_server.url, database_url=sqlite_url) as made:
        yield made


def test_a_job_goes_over_rabbitmq(rabbit: Platform):
    """Ring, claim, acknowledge, result; and a plain Celery producer is served."""
    rabbit.worker()
    assert "hello" == sample_tasks.echo.enqueue_sync("hello").result_sync(timeout_seconds=10)
    sent = Celery(broker=rabbit.broker_url).send_task("sample.add", kwargs={"left": 20, "right": 22})
    assert 42 == rabbit.app.AsyncResult(sent.id).get(timeout=10)


def test_a_killed_workers_jobs_run_again_on_rabbitmq(rabbit: Platform, tmp_path: Path):
    """SIGKILL in mid-job: each job ends exactly once."""
    first = rabbit.worker(worker_slots=10)
    handles = sample_tasks.witness.enqueue_many_sync([(str(tmp_path), f"j{n}", 1.5) for n in range(10)])
    ids = [handle.id for handle in handles]
    until(lambda: rabbit.count(ids, JobState.RUNNING) == 10, what="ten running jobs")
    first.kill()
    rabbit.worker(worker_slots=10)
    rabbit.until_all(ids, JobState.COMPLETED)
    assert all(1 == len((tmp_path / f"j{n}.end").read_text().splitlines()) for n in range(10))


def test_a_full_worker_hoards_no_rings_on_rabbitmq(rabbit: Platform):
    """What a full worker holds unacknowledged, another one with room starts all the same."""
    rabbit.worker(worker_slots=5)
    full = [handle.id for handle in sample_tasks.wait.enqueue_many_sync([(60.0,)] * 5)]
    until(lambda: rabbit.count(full, JobState.RUNNING) == 5, what="a full worker")
    more = [handle.id for handle in sample_tasks.wait.enqueue_many_sync([(60.0,)] * 20)]
    rabbit.worker(worker_slots=20)
    until(lambda: rabbit.count(more, JobState.RUNNING) == 20, timeout_seconds=3.0, what="all to start on B")


def test_properties_that_cannot_be_read_stop_no_queue(rabbit: Platform):
    """py-amqp would end the connection over them, and the next one, and the next one."""
    worker = rabbit.worker(worker_ring_window=16)
    for queue in (INTAKE, RINGS, PLAIN):
        for properties in UNREADABLE:
            _publish(rabbit, queue, 20, b"not compressed", properties)
        _publish(rabbit, queue, 1, TOO_LARGE, {"application_headers": {"task": "sample.echo", "id": queue}})
    sent = Celery(broker=rabbit.broker_url).send_task("plain.multiply", args=(6, 7))
    assert 42 == rabbit.app.AsyncResult(sent.id).get(timeout=10)
    until(
        lambda: 60 * len(UNREADABLE) + 3 == sum(one.count for one in rabbit.ledger.quarantine.listed()),
        what="the quarantine",
    )
    assert "Re-establishing" not in worker.log


def test_a_message_is_replayed_over_rabbitmq(rabbit: Platform):
    """Refused, replayed under its own id to a worker that knows the task; a queue that is gone is said."""
    worker = rabbit.worker(task_modules="holdfast.tests.support.plain_tasks")
    sent = Celery(broker=rabbit.broker_url).send_task("sample.echo", kwargs={"text": "early"})
    (message,) = until(rabbit.ledger.quarantine.listed, what="the quarantine")
    worker.stop()
    rabbit.worker()
    replayer = Replayer(rabbit.ledger, rabbit.app.connection_for_write)
    assert sent.id == replayer.replay(message.id).job_id
    rabbit.until_all_exist([sent.id])
    assert "early" == rabbit.app.AsyncResult(sent.id).get(timeout=10)
    lost = rabbit.ledger.quarantine.keep(
        queue="no.such.queue", reason=QuarantineReason.UNKNOWN_TASK, detail="", raw=b"", source="",
        envelope='{"content_type": null, "content_encoding": null, "headers": {}, "properties": {}}',
    )  # fmt: skip
    with pytest.raises(MessageNotReplayable, match=r"no\.such\.queue"):
        replayer.replay(lost)
    bytes_only = rabbit.ledger.quarantine.keep(
        queue="celery", reason=QuarantineReason.UNDECODABLE, detail="", raw=b"{", source=""
    )
    with pytest.raises(MessageNotReplayable, match="Redis only"):
        replayer.replay(bytes_only, force=True)


def _publish(rabbit: Platform, queue: str, count: int, body: bytes, properties: dict) -> None:
    with Connection(rabbit.broker_url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()
        for _ in range(count):
            channel.basic_publish(amqp.Message(body, **properties), exchange="", routing_key=queue)


def test_a_paused_queue_on_rabbitmq(rabbit: Platform, tmp_path: Path):
    """Nothing of it begins until it is resumed, as on Redis."""
    pause_and_resume(rabbit, tmp_path)
