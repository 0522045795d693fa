"""The services' thread, and the services themselves on a real ledger."""

import os
import signal
import threading
from dataclasses import dataclass, field

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import LedgerError, LedgerUnavailable
from holdfast.jobs.events import (
    EpochChanged,
    JobExpired,
    JobHasNoOffer,
    JobRescued,
    JobsStaged,
    ServiceFailed,
    WorkerDeclaredDead,
)
from holdfast.jobs.ids import new_worker_id
from holdfast.jobs.retention import RetentionPolicy
from holdfast.jobs.ring_events import RingsSent
from holdfast.jobs.state import JobState
from holdfast.tests.support.bench import Unsteady, claimed, enqueued, registered
from holdfast.tests.support.builders import a_settlement, a_worker, an_offer
from holdfast.tests.support.waiting import until
from holdfast.workers.census import Birth, birth_of_self
from holdfast.workers.services import service as service_module
from holdfast.workers.services.epoch import EpochWatch
from holdfast.workers.services.leader import Leadership
from holdfast.workers.services.pruner import Pruner
from holdfast.workers.services.rescuer import Expirer, Rescuer
from holdfast.workers.services.service import ServiceThread
from holdfast.workers.services.stager import Stager
from holdfast.workers.services.undertaker import Undertaker
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.heir import Heir, name_of, prefix_of


@dataclass
class Piece:
    """A service that counts, and may fail."""

    name: str
    pause_seconds: float = 0.0
    error: Exception | None = None
    runs: int = 0
    answers: list = field(default_factory=list)

    def run_once(self):
        self.runs += 1
        if self.error:
            raise self.error
        return self.answers.pop(0) if self.answers else False


@pytest.fixture
def thread_of(events, monkeypatch):
    """Make threads of services that rest for moments only, and stop them at the end."""
    monkeypatch.setattr(service_module, "_LONGEST_WAIT", 0.002)
    made = []

    def make(*services, leads=lambda: True):
        thread = ServiceThread("test-services", services, leads=leads, events=events, clock=SystemClock())
        made.append(thread)
        return thread

    yield make
    for thread in made:
        thread.stop()


def runs(piece, more=2):
    """Wait for so many further runs."""
    wanted = piece.runs + more
    until(lambda: piece.runs >= wanted, what=f"runs of {piece.name}")


def of(seen, kind):
    """Return the events of a kind."""
    return [event for event in seen if isinstance(event, kind)]


def test_a_service_that_fails_stops_no_other(thread_of, seen):
    """It is reported and tried again; before and behind it the work goes on."""
    first, broken, last = Piece("first"), Piece("broken", error=ValueError("a bug")), Piece("last")
    thread_of(first, broken, last).start()
    for piece in (first, broken, last):
        runs(piece)
    assert {"broken"} == {event.service for event in of(seen, ServiceFailed)}


def test_an_outage_of_the_ledger_is_left_to_the_heartbeat(thread_of, seen):
    """One voice is enough."""
    away = Piece("away", error=LedgerUnavailable())
    thread_of(away).start()
    runs(away)
    assert [] == seen


@pytest.mark.parametrize("error", [LedgerUnavailable(), LedgerError(detail="no"), ValueError("a bug")])
def test_a_question_for_the_lead_that_fails_does_not_end_the_thread(thread_of, error):
    """Without an answer nobody leads; the next round asks again."""
    asked, piece = [], Piece("led")

    def leads():
        asked.append(True)
        if len(asked) < 2:
            raise error
        return True

    thread_of(piece, leads=leads).start()
    runs(piece)


def test_who_does_not_lead_does_nothing(thread_of):
    """The services rest, and start when the lead comes."""
    lead, asked, piece = threading.Event(), [], Piece("led")

    def leads():
        asked.append(True)
        return lead.is_set()

    thread_of(piece, leads=leads).start()
    until(lambda: len(asked) >= 2, what="two questions")
    assert 0 == piece.runs
    lead.set()
    runs(piece)


def test_more_work_is_done_at_once_and_then_there_is_a_pause(thread_of):
    """`run_once` says whether there is more."""
    busy, other = Piece("busy", pause_seconds=3600.0, answers=[True, True, False]), Piece("other")
    thread_of(busy, other).start()
    until(lambda: busy.runs == 3, what="three runs")
    runs(other)
    assert 3 == busy.runs


def test_stop_before_start_and_a_second_stop_and_a_second_start(thread_of):
    """`start` and `stop` may come in any order and twice."""
    never = Piece("never")
    thread = thread_of(never)
    thread.stop()
    thread.start()
    assert 0 == never.runs
    piece = Piece("piece")
    thread = thread_of(piece)
    thread.start()
    thread.start()
    runs(piece)
    thread.stop()
    thread.stop()
    done = piece.runs
    thread.start()
    assert done == piece.runs


# Leadership.


def test_one_leads_until_its_time_is_over(ledger, clock):
    """The second one is refused until the first one's time is over.

    Then the first one finds out by asking.
    """
    first, second = registered(ledger), registered(ledger)
    one = Leadership(ledger, "maintenance", lambda: first, seconds=0.03, clock=clock)
    other = Leadership(ledger, "maintenance", lambda: second, seconds=30.0, clock=clock)
    assert (True, False) == (one(), other())

    def the_other_leads():
        clock.advance(10.0)
        return other()

    until(the_other_leads, what="the end of the first lead")
    assert not one()


def test_the_lead_is_asked_for_again_after_a_third_of_its_life(ledger, clock):
    """Not with each round; a ledger that is away ends it until it answers."""
    line, leader = Unsteady(ledger), registered(ledger)
    lead = Leadership(line.as_ledger(), "maintenance", lambda: leader, seconds=30.0, clock=clock)
    assert [True] * 3 == [lead() for _ in range(3)]
    clock.advance(9.9)
    assert (True, 1) == (lead(), line.count("lead"))
    clock.advance(0.1)
    assert (True, 2) == (lead(), line.count("lead"))
    clock.advance(10.0)
    line.before.add("lead")
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            lead()
    line.before.clear()
    assert lead()


# Stager, rescuer, expirer, pruner, undertaker.


def by_hand(ledger, statement):
    """Change what stands there as somebody with a database console would."""
    with ledger.session() as session:
        session.connection().exec_driver_sql(statement)
        session.commit()


def test_the_stager_makes_due_jobs_available_and_rings(ledger, events, seen):
    """A full batch says that there is more."""
    due = enqueued(ledger, 2, delay_seconds=0.02)
    later = enqueued(ledger, 1, delay_seconds=3600.0)
    rung = []
    stager = Stager(
        ledger, rung.extend, epoch=ledger.epoch, events=events, pause_seconds=0.2, batch=2
    )  # fmt: skip
    until(lambda: [stager.run_once(), {ring.job_id for ring in rung} >= set(due)][1], what="rings")
    assert {JobState.AVAILABLE} == {ledger.job(job).state for job in due}
    assert JobState.SCHEDULED == ledger.job(later[0]).state
    assert 2 == sum(event.count for event in of(seen, JobsStaged))
    assert len(rung) == sum(event.count for event in of(seen, RingsSent))


def test_the_stager_comes_back_when_the_next_job_is_due(ledger, events):
    """And in its usual time where none is due sooner, or where one is overdue that cannot be moved."""
    stager = Stager(ledger, bool, epoch=ledger.epoch, events=events, pause_seconds=60.0, batch=9)

    def pause():
        stager.run_once()
        return stager.pause_seconds

    assert 60.0 == pause()
    enqueued(ledger, 1, delay_seconds=3600.0)
    assert 60.0 == pause()
    (soon,) = enqueued(ledger, 1, delay_seconds=5.0)
    assert 1.0 < pause() <= 5.0
    by_hand(ledger, "UPDATE jobs SET run_at = '2020-01-01T00:00:00.000000Z' WHERE run_at < '2099'")
    by_hand(ledger, "CREATE TRIGGER stuck BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'stuck'); END")
    try:
        assert 60.0 == pause()
        assert JobState.SCHEDULED == ledger.job(soon).state
    finally:
        by_hand(ledger, "DROP TRIGGER stuck")


def test_the_stager_sends_no_ring_for_a_paused_queue(ledger, events, seen):
    """What is held counts as work done, so that a long paused queue does not keep others from their rings."""
    paused, other = enqueued(ledger, 2, queue="mail"), enqueued(ledger, 1)
    ledger.pause_queue("mail")
    ledger.ring_soon([*paused, *other])
    rung = []
    stager = Stager(ledger, rung.extend, epoch=lambda: "e", events=events, pause_seconds=0.2, batch=3)
    assert stager.run_once()
    assert other == [ring.job_id for ring in rung]
    assert [1] == [event.count for event in of(seen, RingsSent)]


def test_the_rescuer_frees_what_the_dead_hold(ledger, events, seen):
    """It is a level: each sweep sees all that is left, and a second one finds nothing."""
    dead, alive = registered(ledger), registered(ledger)
    lost = [claimed(ledger, dead) for _ in range(3)]
    kept = claimed(ledger, alive)
    rescuer = Rescuer(ledger, bool, events=events, pause_seconds=0.2, batch=2)
    assert not rescuer.run_once()
    ledger.declare_dead(dead, 0)
    assert (True, False, False) == (rescuer.run_once(), rescuer.run_once(), rescuer.run_once())
    assert {JobState.AVAILABLE} == {ledger.job(claim.job.id).state for claim in lost}
    assert JobState.RUNNING == ledger.job(kept.job.id).state
    told = of(seen, JobRescued)
    assert ({claim.job.id for claim in lost}, {dead}) == (
        {event.job_id for event in told}, {event.worker_id for event in told},
    )  # fmt: skip


def test_the_expirer_ends_what_waited_too_long(ledger, events, seen):
    """Past its deadline a waiting job is quarantined, and one that nobody offers is marked.

    Then quarantined.
    """
    registered(ledger)
    late = enqueued(ledger, 1, deadline_seconds=0.0001)[0]
    strange = enqueued(ledger, 1, task="tests.unheard_of")[0]
    expirer = Expirer(ledger, events=events, no_offer_seconds=0.0, pause_seconds=1.0, batch=10)
    until(lambda: [expirer.run_once(), ledger.job(late).state is JobState.QUARANTINED][1], what="an expiry")
    assert [late] == [event.job_id for event in of(seen, JobExpired)]
    until(lambda: [expirer.run_once(), ledger.job(strange).state is JobState.QUARANTINED][1], what="the end")
    told = [(event.why, event.waited_seconds) for event in of(seen, JobHasNoOffer) if event.job_id == strange]
    assert ("unknown_task", 0.0) == told[-1]


def test_the_pruner_removes_what_is_old_enough(ledger):
    """Completed jobs go after their retention; others stay."""
    worker = registered(ledger)
    done, running = claimed(ledger, worker), claimed(ledger, worker)
    ledger.settle([a_settlement(done.lease)])

    def pruner(seconds):
        policy = RetentionPolicy.plain(seconds, seconds)
        return Pruner(ledger, policy, pause_seconds=1.0, batch=100)

    pruner(3600.0).run_once()
    assert ledger.find([done.job.id])
    until(lambda: [pruner(0.0).run_once(), not ledger.find([done.job.id])][1], what="the row to go")
    assert ledger.tombstone(done.job.id)
    assert ledger.find([running.job.id])


def test_the_undertaker_buries_the_dead_of_this_machine_only(ledger, events, seen):
    """A pid that is gone here is proof; the same numbers of another machine, or the own row, are not."""
    here = birth_of_self()

    def worker(**fields):
        row = a_worker(**{"machine_id": here.machine_id, "started_marker": here.started_marker, **fields})
        ledger.register_worker(row, [])
        return row.id

    me = worker(pid=here.pid)
    gone = worker(pid=2**22 + 1)
    worker(pid=2**22 + 1, machine_id="elsewhere")
    worker(pid=here.pid)
    living = []
    undertaker = Undertaker(
        ledger, here, lambda: me, events=events, pause_seconds=1.0, on_count=living.append
    )
    for _ in range(2):
        undertaker.run_once()
    assert [4, 3] == living, "whoever counts the living hears of it at the next look"
    assert [gone] == [event.worker_id for event in of(seen, WorkerDeclaredDead)]
    assert 3 == len(ledger.workers())


def test_the_undertaker_settles_what_the_dead_left_before_it_frees_their_jobs(ledger, events, tmp_path):
    """A paid outcome on disk is applied under its token; where that cannot be yet, nobody is buried yet."""
    here = birth_of_self()
    gone = a_worker(pid=2**22 + 1, machine_id=here.machine_id, started_marker=here.started_marker)
    ledger.register_worker(gone, [an_offer()])
    lease = claimed(ledger, gone.id).lease
    birth = Birth(gone.machine_id, gone.pid, gone.started_marker)
    path = tmp_path / f"{name_of(ledger.ledger_id, birth, gone.id)}.spool"
    path.write_bytes(lines.header() + lines.line_of(a_settlement(lease)))
    folder, line = DiskFolder(tmp_path), Unsteady(ledger)
    undertaker = Undertaker(
        line.as_ledger(), here, new_worker_id, events=events, pause_seconds=1.0,
        heir=Heir(folder, prefix_of(ledger.ledger_id), events=events),
    )  # fmt: skip
    line.before.add("settle")
    with pytest.raises(LedgerUnavailable):
        undertaker.run_once()
    line.before.clear()
    child = os.fork()
    if child == 0:
        # Somebody else replays it just now.
        DiskFolder(tmp_path).take(path.stem)
        os.kill(os.getpid(), signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    undertaker.run_once()
    assert [gone.id] == [worker.id for worker in ledger.workers()]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    undertaker.run_once()
    assert ([], JobState.COMPLETED) == (ledger.workers(), ledger.job(lease.job_id).state)


# The epoch watch.


class Witness:
    """A broker's memory in a variable; it may be down."""

    def __init__(self):
        self.epoch, self.error = None, None

    def remembers(self, connection, epoch):
        if self.error:
            raise self.error
        return self.epoch == epoch

    def remember(self, connection, epoch):
        if self.error:
            raise self.error
        self.epoch = epoch


class NoBroker:
    """An app whose connections connect to nothing; the integration tests have the real ones."""

    def __init__(self):
        self.made, self.hung_up = 0, 0

    def connection_for_write(self, **_):
        self.made += 1
        return self

    def ensure_connection(self, **_):
        return self

    def release(self):
        self.hung_up += 1


class Watching:
    """A watch, its witness, and how often the broker answered."""

    def __init__(self, ledger, events):
        self.witness, self.app, self.contacts = Witness(), NoBroker(), []
        self.watch = EpochWatch(
            self.app,
            ledger,
            self.witness,
            events=events,
            on_contact=lambda: self.contacts.append(True),
            pause_seconds=5.0,
        )


@pytest.fixture
def watching(ledger, events):
    """A watch that has not looked yet."""
    return Watching(ledger, events)


@pytest.fixture
def restless(monkeypatch):
    """A ledger that lets its epoch change at any time."""
    monkeypatch.setattr("holdfast.ledger.identity.EPOCH_REST_SECONDS", -1.0)


def test_a_broker_that_remembers_changes_nothing(watching, ledger, seen):
    """One connection is kept; each look is a sign of life."""
    watching.witness.epoch = before = ledger.epoch()
    watching.watch.run_once()
    watching.watch.run_once()
    assert (before, before, 1, 2) == (
        ledger.epoch(), watching.watch.current, watching.app.made, len(watching.contacts),
    )  # fmt: skip
    assert [] == seen


def test_a_broker_that_forgot_begins_a_new_epoch(watching, ledger, seen, restless):
    """Every job that waits rings again, and the broker remembers the new epoch."""
    watching.witness.epoch = before = ledger.epoch()
    watching.watch.run_once()
    watching.witness.epoch = None
    watching.watch.run_once()
    now = ledger.epoch()
    assert before != now
    assert [now] * 2 == [watching.watch.current, watching.witness.epoch]
    assert [now] == [event.epoch for event in of(seen, EpochChanged)]


def test_a_loss_within_the_minute_of_the_last_one_is_not_forgotten(watching, ledger, seen, monkeypatch):
    """While the epoch may not change the witness stays away, so that a later look changes it."""
    monkeypatch.setattr("holdfast.ledger.identity.EPOCH_REST_SECONDS", 3600.0)
    watching.witness.epoch = before = ledger.epoch()
    watching.watch.run_once()
    watching.witness.epoch = None
    watching.watch.run_once()
    assert (before, None, []) == (ledger.epoch(), watching.witness.epoch, seen)
    monkeypatch.setattr("holdfast.ledger.identity.EPOCH_REST_SECONDS", -1.0)
    watching.watch.run_once()
    assert before != ledger.epoch() == watching.witness.epoch
    assert 1 == len(of(seen, EpochChanged))


def test_the_first_start_leaves_its_witness_at_once(watching, ledger, seen, monkeypatch):
    """A new ledger's epoch is younger than a minute.

    The new broker is told of it, and nothing rings twice.
    """
    monkeypatch.setattr("holdfast.ledger.identity.EPOCH_REST_SECONDS", 3600.0)
    watching.watch.run_once()
    assert ledger.epoch() == watching.witness.epoch == watching.watch.current
    assert [] == seen


def test_a_broker_that_is_away_changes_nothing(watching, ledger, seen):
    """An outage is no loss: the connection is let go, and what was known stays known."""
    watching.witness.epoch = before = ledger.epoch()
    watching.watch.run_once()
    watching.witness.error = OSError("gone")
    watching.watch.run_once()
    watching.watch.run_once()
    assert (before, before, 2) == (ledger.epoch(), watching.watch.current, watching.app.hung_up)
    watching.witness.error = None
    watching.watch.run_once()
    assert (2, []) == (len(watching.contacts), seen)


def test_two_watches_agree(ledger, events, seen, restless):
    """Whoever sees the loss later takes over the epoch that the other one began."""
    one, other = Watching(ledger, events), Watching(ledger, events)
    other.witness = one.witness
    other.watch._witness = one.witness  # noqa: SLF001 -- what cannot be seen from outside
    one.watch.run_once()
    other.watch.run_once()
    assert ledger.epoch() == one.watch.current == other.watch.current == one.witness.epoch
