"""From the quarantine back to a worker: what was put aside is replayed, and nothing is lost on the way."""

import json

import pytest
import redis
from celery import Celery

from holdfast.jobs.errors import BrokerUnavailable, IllegalTransition, MessageNotReplayable
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support.messages import INTAKE, RINGS, envelope
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until
from holdfast.workers.replay import Replayer

NOT_OURS = "holdfast.tests.support.plain_tasks"
"""Modules of a worker that knows none of our sample tasks."""


@pytest.fixture
def replayer(embedded: Platform) -> Replayer:
    """An operator's hand on the quarantine."""
    return Replayer(embedded.ledger, embedded.app.connection_for_write)


def kept_one(target: Platform):
    """Wait for the one message of the quarantine."""
    found = until(target.ledger.quarantine.listed, what="a message in the quarantine")
    assert 1 == len(found)
    return target.ledger.quarantine.one(found[0].id)


@pytest.mark.parametrize("queue", [INTAKE, RINGS])
def test_a_message_for_an_unknown_task_runs_once_it_is_known(embedded: Platform, replayer: Replayer, queue):
    """Refused by a worker of the last release, replayed to one of this: the sender's id gets the result."""
    worker = embedded.worker(task_modules=NOT_OURS)
    sent = Celery(broker=embedded.broker_url).send_task(
        "sample.echo", kwargs={"text": "early"}, queue=queue, compression="gzip"
    )
    message = kept_one(embedded)
    assert (QuarantineReason.UNKNOWN_TASK, queue) == (message.reason, message.queue)
    embedded.until_all_exist([sent.id])
    with pytest.raises(IllegalTransition, match="Replay the message"):
        embedded.ledger.requeue(sent.id)
    worker.stop()
    embedded.worker()
    assert (sent.id, True) == (replayer.replay(message.id).job_id, replayer_closed(embedded, message.id))
    embedded.until_all_exist([sent.id])
    assert "early" == embedded.app.AsyncResult(sent.id).get(timeout=10)
    assert [1] == [one.replays for one in embedded.ledger.quarantine.listed()]


def replayer_closed(target: Platform, message_id: int) -> bool:
    """Tell whether a message is marked as replayed."""
    return target.ledger.quarantine.one(message_id).replayed_at is not None


def test_a_message_that_is_still_bad_comes_back_to_its_own_row(embedded: Platform, replayer: Replayer):
    """Byte for byte the same: it is counted, and open again."""
    embedded.worker()
    server = redis.Redis.from_url(embedded.broker_url)
    server.lpush(INTAKE, json.dumps(envelope(body=[[], {"bcc": "x"}, {}])))
    message = kept_one(embedded)
    replayer.replay(message.id)
    again = until(lambda: (one := kept_one(embedded)).count == 2 and one, what="it to come back")
    assert (message.id, message.digest, None) == (again.id, again.digest, again.replayed_at)


def test_what_could_not_be_read_is_sent_by_force_only(embedded: Platform, replayer: Replayer):
    """Bytes that are no message, and a body that is no JSON: without force nothing happens."""
    embedded.worker()
    server = redis.Redis.from_url(embedded.broker_url)
    server.lpush(RINGS, b"{not json\xff")
    server.lpush(INTAKE, json.dumps(envelope(raw_body=b"nonsense")))
    messages = until(lambda: len(found := embedded.ledger.quarantine.listed()) == 2 and found)
    for message in messages:
        with pytest.raises(MessageNotReplayable, match="--force"):
            replayer.replay(message.id)
        replayer.replay(message.id, force=True)
    until(lambda: [2, 2] == [one.count for one in embedded.ledger.quarantine.listed()], what="both back")
    assert {RINGS, INTAKE} == {one.queue for one in embedded.ledger.quarantine.listed()}


def test_a_message_whose_id_was_used_is_sent_under_a_new_one(embedded: Platform, replayer: Replayer):
    """Under its own it would be put aside again; as a new job it runs, and the first one stays."""
    embedded.worker()
    producer = Celery(broker=embedded.broker_url)
    producer.send_task("sample.echo", kwargs={"text": "monday"}, task_id="daily")
    embedded.until_all_exist(["daily"])
    embedded.until_all(["daily"], JobState.COMPLETED)
    producer.send_task("sample.echo", kwargs={"text": "tuesday"}, task_id="daily")
    message = kept_one(embedded)
    with pytest.raises(MessageNotReplayable, match="--as-new"):
        replayer.replay(message.id)
    replayed = replayer.replay(message.id, as_new=True)
    assert "tuesday" == embedded.app.AsyncResult(replayed.job_id).get(timeout=10)
    assert "monday" == embedded.app.AsyncResult("daily").get(timeout=10)


def test_a_replay_without_a_broker_loses_nothing(
    embedded: Platform, replayer: Replayer, own_redis: RedisServer
):
    """The message stays open, and goes out when the broker is back."""
    message_id = embedded.ledger.quarantine.keep(
        queue=INTAKE,
        reason=QuarantineReason.UNKNOWN_TASK,
        detail="",
        raw=b'[[], {"text": "late"}, {}]',
        source="test",
        envelope='{"content_type": "application/json", "content_encoding": "utf-8", "properties": {}, '
        '"headers": {"task": "sample.echo", "id": "late"}}',
    )
    own_redis.kill()
    with pytest.raises(BrokerUnavailable):
        replayer.replay(message_id)
    assert not replayer_closed(embedded, message_id)
    own_redis.start()
    replayer.replay(message_id)
    embedded.worker()
    embedded.until_all_exist(["late"])
    assert "late" == embedded.app.AsyncResult("late").get(timeout=10)
