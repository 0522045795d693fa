"""The adopter.

Whatever a foreign message is, afterwards it is a job, or in the quarantine, and may be acknowledged.
"""

import threading
from types import SimpleNamespace

import pytest
from kombu import Connection, Queue

from holdfast.jobs.errors import BrokerUnavailable, InvalidArguments, LedgerUnavailable
from holdfast.jobs.events import JobAdopted, MessageKnown, MessageQuarantined, ServiceFailed
from holdfast.jobs.ring_events import RingDropped
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tasks import Registry, task
from holdfast.tests.support.bench import Unsteady
from holdfast.tests.support.waiting import until
from holdfast.workers import intake as intake_module
from holdfast.workers.intake import Adopter, Intake

BODY = b'[[], {"to": "x"}, null]'


@pytest.fixture
def registry():
    """One task."""
    made = Registry()

    @task(name="mail.send", registry=made)
    async def send(to: str) -> str:
        return to

    return made


class Bell:
    """Notes for whom it was rung."""

    def __init__(self):
        self.rung = []

    def ring(self, rings):
        self.rung += [ring.job_id for ring in rings]


class Adopting:
    """An adopter on a line that can break."""

    def __init__(self, ledger, registry, events):
        self.line, self.bell, self.ledger = Unsteady(ledger), Bell(), ledger
        self.forward = lambda message: False
        self.adopter = Adopter(
            self.line.as_ledger(),
            self.bell,
            registry,
            adopts=True,
            forward=self._ask,
            events=events,
            source="worker-1",
        )

    def _ask(self, message):
        return self.forward(message)

    def take(self, message):
        self.adopter.take("celery", message)

    @property
    def kept(self):
        """What is in the quarantine: reason and bytes."""
        return [(one.reason, one.raw) for one in self.ledger.quarantine.listed()]


@pytest.fixture
def adopting(ledger, registry, events):
    """An adopter that adopts."""
    return Adopting(ledger, registry, events)


def a_message(payload=None, *, body=BODY, properties=None, **headers):
    """What kombu hands over."""
    return SimpleNamespace(
        headers={"task": "mail.send", "id": "a-1", **headers},
        payload=[[], {"to": "x"}, None] if payload is None else payload,
        body=body,
        properties={} if properties is None else properties,
        delivery_info={"routing_key": "celery"},
    )


def test_a_message_becomes_a_job_and_rings(adopting, seen):
    """Once: the same message again is known, and rings nobody."""
    adopting.take(a_message())
    adopting.take(a_message())
    assert (JobState.AVAILABLE, ["a-1"], []) == (
        adopting.ledger.job("a-1").state, adopting.bell.rung, adopting.kept,
    )  # fmt: skip
    assert 1 == sum(isinstance(event, JobAdopted) for event in seen)


def test_a_message_for_a_plain_celery_task_goes_on(adopting, ledger):
    """What was forwarded is no job and nothing to keep; a broker that is away leaves it where it was."""
    adopting.forward = lambda message: True
    adopting.take(a_message())
    assert ({}, []) == (ledger.find(["a-1"]), adopting.kept)

    def away(message):
        raise BrokerUnavailable

    adopting.forward = away
    with pytest.raises(BrokerUnavailable):
        adopting.take(a_message())
    assert [] == adopting.kept


def test_a_message_for_later_does_not_ring(adopting):
    """The stager rings when its time has come."""
    adopting.take(a_message(eta="2030-01-01T00:00:00"))
    assert (JobState.SCHEDULED, []) == (adopting.ledger.job("a-1").state, adopting.bell.rung)


def test_an_id_that_was_used_for_another_message_is_never_silence(adopting, seen):
    """`task_id="daily-report"` on the second day is put aside, not acknowledged into nothing."""
    adopting.take(a_message())
    adopting.take(a_message([[], {"to": "y"}, None]))
    assert [(QuarantineReason.ID_REUSED, BODY)] == adopting.kept
    assert ["id_reused"] == [event.reason for event in seen if isinstance(event, MessageQuarantined)]


def test_a_refused_message_answers_under_its_id(adopting):
    """So that the producer's `get()` ends with a failure instead of waiting for ever."""
    adopting.take(a_message([[], {"bcc": "x"}, None]))
    job = adopting.ledger.job("a-1")
    assert (JobState.QUARANTINED, QuarantineReason.INVALID_PAYLOAD) == (job.state, job.reason)
    assert [(QuarantineReason.INVALID_PAYLOAD, BODY)] == adopting.kept


class Undecodable(SimpleNamespace):
    """A message whose body cannot be read."""

    @property
    def payload(self):
        raise ValueError("no JSON")


ODD = [
    Undecodable(headers={}, body=b"\xff", properties={}, delivery_info={}),
    SimpleNamespace(headers=["task"], payload=[], body=b"x", properties={}, delivery_info={}),
    SimpleNamespace(headers="task", payload=[], body="x", properties={}, delivery_info={}),
    SimpleNamespace(headers={}, payload=[], body=b"x", properties=["priority"], delivery_info={}),
    SimpleNamespace(headers=None, payload=None, body=None, properties=None, delivery_info=None),
    a_message(id=["a"]),
    a_message(task={"a": 1}),
]


@pytest.mark.parametrize("message", ODD, ids=str)
def test_a_message_that_cannot_be_read_is_kept(adopting, message):
    """Nothing leaves: a message that is not acknowledged would come again, and again."""
    adopting.take(message)
    assert [QuarantineReason.UNDECODABLE] == [reason for reason, _ in adopting.kept]


@pytest.mark.parametrize("task_name", ["a\0b", "\ud800", "x" * 255])
def test_a_name_that_no_row_can_hold_is_kept(adopting, task_name):
    """Once: the ledger would refuse its row, and the message would be taken for one that came twice."""
    adopting.take(a_message(task=task_name))
    assert 1 == len(adopting.kept)
    assert [1] == [one.count for one in adopting.ledger.quarantine.listed()]


@pytest.mark.parametrize("error", [InvalidArguments(detail="no row can hold it"), ValueError("a bug")])
def test_what_the_ledger_will_never_take_is_kept(adopting, error):
    """An error that would come again with every redelivery ends in the quarantine."""
    adopting.line.errors["adopt"] = error
    adopting.take(a_message())
    assert [QuarantineReason.UNDECODABLE] == [reason for reason, _ in adopting.kept]


@pytest.mark.parametrize("verb", ["adopt", "keep", "refuse"])
def test_an_outage_leaves_the_message_with_the_broker(adopting, verb):
    """It must not be acknowledged, and is taken when it comes again."""
    message = a_message() if verb == "adopt" else a_message([[], {"bcc": "x"}, None])
    adopting.line.before.add(verb)
    with pytest.raises(LedgerUnavailable):
        adopting.take(message)
    adopting.line.before.clear()
    adopting.take(message)
    assert adopting.ledger.job("a-1")


@pytest.mark.parametrize("ledger_id", ["this one", "another one"])
def test_a_ring_at_the_intake_is_dropped(adopting, seen, ledger_id):
    """It carries no arguments: adopted, it would be a job that nobody asked for (B8)."""
    adopting.take(a_message(holdfast={"ring": 1, "ledger": ledger_id}))
    assert ({}, []) == (adopting.ledger.find(["a-1"]), adopting.kept)
    assert ["a-1"] == [event.job_id for event in seen if isinstance(event, RingDropped)]


def test_a_body_larger_than_a_message_may_be_is_not_looked_into(adopting):
    """RabbitMQ carries 128 MiB; decoding that would hold up, or end, the worker."""
    message = a_message(body=b"x" * (2 * 1024 * 1024 + 1))
    adopting.take(message)
    assert [QuarantineReason.UNDECODABLE] == [reason for reason, _ in adopting.kept]


def test_a_message_that_came_again_is_told_of(adopting, seen):
    """It changes nothing, and is no secret."""
    adopting.take(a_message())
    adopting.take(a_message())
    assert ["a-1"] == [event.job_id for event in seen if isinstance(event, MessageKnown)]


def test_each_outage_of_the_broker_is_told_once(events, seen, monkeypatch):
    """Also the second one, though no message came in between."""
    monkeypatch.setattr(intake_module, "_DRAIN_SECONDS", 0.01)
    monkeypatch.setattr(intake_module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(intake_module, "_LONGEST_PAUSE", 0.02)
    is_away, tried, heard = threading.Event(), [], []

    class Line(Connection):
        def drain_events(self, *arguments, **options):
            """Hear what there is."""
            heard.append(1)
            if is_away.is_set():
                raise ConnectionResetError
            return super().drain_events(*arguments, **options)

    def connect():
        tried.append(1)
        if is_away.is_set():
            raise ConnectionRefusedError
        return Line("memory://")

    intake = Intake(connect, Queue("celery"), None, events=events)
    intake.start()
    for outage in (1, 2):
        before = len(heard)
        until(lambda before=before: len(heard) > before + 2, what="it reads")
        is_away.set()
        before = len(tried)
        until(lambda before=before: len(tried) > before + 3, what="it tries to come back")
        assert ["intake"] * outage == [event.service for event in seen if isinstance(event, ServiceFailed)]
        is_away.clear()
    intake.stop()
