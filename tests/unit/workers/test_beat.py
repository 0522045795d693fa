"""The heartbeat: it beats, it tells of its own trouble, and it buries others."""

from contextlib import contextmanager

import pytest

from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import LeaseSure, LeaseUnsure, ServiceFailed, WorkerDeclaredDead
from holdfast.tests.support.bench import Unsteady, registered
from holdfast.tests.support.waiting import until
from holdfast.workers.beat import BeatCalls, Heartbeat

BEAT, LEASE = 0.005, 20.0


class Beating:
    """A heartbeat on a line that can break, and what it told."""

    def __init__(self, ledger, clock, events):
        self.line, self.told = Unsteady(ledger), []
        self.worker_id = registered(ledger)
        self.heart = Heartbeat(
            self.line.as_ledger(),
            self.worker_id,
            beat_seconds=BEAT,
            lease_seconds=LEASE,
            clock=clock,
            events=events,
            calls=BeatCalls(
                on_dead=lambda: self.told.append("dead"),
                on_unsure=lambda: self.told.append("unsure"),
                on_sure=lambda: self.told.append("sure"),
            ),
        )

    def beats(self, more):
        """Wait for so many further beats."""
        wanted = self.line.count("beat") + more
        until(lambda: self.line.count("beat") >= wanted, what="beats")


@pytest.fixture
def beating(ledger, clock, events):
    """A heartbeat that has begun."""

    @contextmanager
    def start():
        made = Beating(ledger, clock, events)
        made.heart.start()
        try:
            yield made
        finally:
            made.heart.stop()

    with start() as made:
        yield made


def of(seen, kind):
    """Return the events of a kind."""
    return [event for event in seen if isinstance(event, kind)]


def test_it_renews_its_row(beating, ledger):
    """Each beat raises the worker's number; nobody is bothered."""
    until(lambda: ledger.workers()[0].beat_seq >= 3, what="three beats")
    assert [] == beating.told


def test_an_outage_is_told_once_and_so_is_its_end(beating, clock, seen):
    """The gate is suspended at the first missed beat, and the age of the lease is known."""
    beating.beats(1)
    beating.line.before.add("beat")
    until(lambda: beating.told, what="the first missed beat")
    clock.advance(7.0)
    beating.beats(3)
    assert 7.0 == beating.heart.unsure_seconds
    assert {"unsure"} == set(beating.told)
    beating.line.before.clear()
    until(lambda: "sure" in beating.told, what="a beat")
    assert (1, [7.0]) == (len(of(seen, LeaseUnsure)), [event.away_seconds for event in of(seen, LeaseSure)])
    assert 0.0 == beating.heart.unsure_seconds
    assert clock.monotonic() == beating.heart.last_at


def test_a_worker_that_was_declared_dead_hears_it_and_beats_no_more(beating, ledger):
    """Death is never undone (B3)."""
    row = ledger.workers()[0]
    until(lambda: ledger.declare_dead(row.id, ledger.workers()[0].beat_seq), what="a beat that is seen")
    until(lambda: beating.told == ["dead"], what="the news")
    until(lambda: not beating.heart._thread.is_alive(), what="the end of the beats")  # noqa: SLF001 -- what cannot be seen from outside
    assert [] == ledger.workers()


def test_it_declares_a_silent_worker_dead(beating, ledger, clock, seen):
    """A row whose number stands still for a whole lease on our clock is ended."""
    other = registered(ledger)
    for _ in range(6):
        beating.beats(2)
        clock.advance(LEASE / 4)
    until(lambda: of(seen, WorkerDeclaredDead), what="a declaration of death")
    assert [other] == [event.worker_id for event in of(seen, WorkerDeclaredDead)]
    assert [beating.worker_id] == [row.id for row in ledger.workers()]


def test_after_its_own_outage_it_judges_nobody(beating, ledger, clock, seen):
    """What looked old may only be our own absence."""
    registered(ledger)
    beating.beats(2)
    beating.line.before.add("beat")
    clock.advance(LEASE)
    beating.beats(2)
    beating.line.before.clear()
    beating.beats(3)
    assert [] == of(seen, WorkerDeclaredDead)


def test_a_short_outage_of_its_own_begins_the_watch_anew(beating, ledger, clock, seen):
    """However long the other one was silent before it."""
    registered(ledger)
    for _ in range(3):
        beating.beats(2)
        clock.advance(LEASE / 4)
    beating.beats(2)
    beating.line.before.add("beat")
    beating.beats(2)
    clock.advance(LEASE / 4)
    beating.line.before.clear()
    beating.beats(3)
    assert [] == of(seen, WorkerDeclaredDead)


def test_after_a_freeze_it_judges_nobody(beating, ledger, clock, seen):
    """A stopped container: no beat failed, and yet our watch has a hole."""
    registered(ledger)
    beating.beats(2)
    clock.advance(LEASE)
    beating.beats(3)
    assert [] == of(seen, WorkerDeclaredDead)


@pytest.mark.parametrize("verb", ["beat", "workers"])
def test_a_fault_does_not_end_the_beats(beating, verb):
    """A heart that stopped for a bug would be a dead worker that works on."""
    beating.line.errors[verb] = ValueError("a bug of ours")
    beating.beats(3)
    beating.line.errors.clear()
    beating.beats(2)
    assert beating.heart._thread.is_alive()  # noqa: SLF001 -- what cannot be seen from outside


def test_it_can_be_stopped_before_it_started_and_twice(ledger, clock, events):
    """Leaving is always possible."""
    heart = Beating(ledger, clock, events).heart
    heart.stop()
    heart.stop()


def test_one_that_cannot_be_buried_keeps_nobody_from_burying_the_others(beating, ledger, clock, seen):
    """What was observed of them is not forgotten, and the failure is told."""
    registered(ledger)
    beating.line.errors["declare_dead"] = LedgerError(detail="a row that is locked")
    for _ in range(6):
        beating.beats(2)
        clock.advance(LEASE / 4)
    until(lambda: of(seen, ServiceFailed), what="the failure")
    beating.line.errors.clear()
    beating.beats(2)
    until(lambda: of(seen, WorkerDeclaredDead), what="a declaration of death without another lease")
