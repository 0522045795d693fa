"""The scheduler and the declaration of schedules, on a real ledger."""

from datetime import timedelta
from typing import cast

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.schedule_events import (
    ScheduleNotChanged,
    SchedulesDeclared,
    ScheduleStopped,
    TicksFired,
    TicksLeftOut,
)
from holdfast.jobs.schedules.missed import Missed
from holdfast.ledger import Ledger
from holdfast.ledger.schedule_records import Fired
from holdfast.ledger.schema_schedules import schedules
from holdfast.tests.support.bench import Unsteady
from holdfast.tests.support.builders import TASK, a_definition
from holdfast.workers.services.scheduler import LEAST_PAUSE_SECONDS, REST_SECONDS, Declaration, Scheduler


def of(seen, kind):
    """Return the events of a kind."""
    return [event for event in seen if isinstance(event, kind)]


@pytest.fixture
def rung():
    """The ids of the jobs that were rung."""
    return []


@pytest.fixture
def scheduler(ledger, events, rung):
    """A scheduler that sweeps each second."""
    return Scheduler(
        ledger,
        lambda rings: rung.extend(ring.job_id for ring in rings),
        events=events,
        clock=SystemClock(),
        pause_seconds=1.0,
        batch=10,
    )


@pytest.fixture
def set_back(ledger):
    """Move the next ticks of all schedules into the past."""

    def move(seconds, **values):
        at = SystemClock().now() - timedelta(seconds=seconds)
        with ledger.session() as session:
            session.execute(schedules.update().values(next_tick=at, anchor=at, **values))
            session.commit()

    return move


def test_a_tick_is_fired_and_rung_and_told(scheduler, ledger, set_back, rung, seen):
    """One event for all of them; what runs in a process of its own is not rung."""
    ledger.schedules.add(a_definition())
    ledger.schedules.add(a_definition(name="apart", cohort=1))
    set_back(0.5)
    assert not scheduler.run_once()
    jobs = {job.id: job for job in ledger.list_jobs()}
    assert ["nightly"] == [job_id.partition("@")[0] for job_id in rung]
    assert 2 == len(jobs)
    (fired,) = of(seen, TicksFired)
    assert 2 == fired.count
    assert fired.late_seconds >= 0.5


def test_it_comes_back_when_the_next_tick_is_due(scheduler, ledger, set_back):
    """Not at its next sweep, and not at once again and again; without schedules it sweeps as usual."""
    scheduler.run_once()
    assert 1.0 == scheduler.pause_seconds
    ledger.schedules.add(a_definition(rule="every 1h"))
    scheduler.run_once()
    assert 1.0 == scheduler.pause_seconds
    set_back(-0.4)
    scheduler.run_once()
    assert LEAST_PAUSE_SECONDS <= scheduler.pause_seconds < 0.5
    set_back(0.01)
    assert not scheduler.run_once()
    assert 1.0 == scheduler.pause_seconds


class Held:
    """A ledger whose tick is due, and locked by somebody else."""

    @property
    def schedules(self):
        return self

    def next_due(self):
        return -0.5

    def fire(self, limit):
        return Fired((), (), (), is_more=False)


def test_what_somebody_else_holds_is_no_reason_to_hurry(events):
    """A frozen leader in the midst of a batch keeps its rows: the others look again at their usual pace."""
    scheduler = Scheduler(
        cast("Ledger", Held()), bool, events=events, clock=SystemClock(), pause_seconds=1.0, batch=10
    )
    assert not scheduler.run_once()
    assert 1.0 == scheduler.pause_seconds


def test_it_goes_on_while_more_is_due(scheduler, ledger, set_back):
    """A backlog of ticks is worked off without pauses, a batch at a time."""
    ledger.schedules.add(a_definition(rule="every 1s", missed=Missed.ALL))
    set_back(24.5)
    rounds = 1
    while scheduler.run_once():
        rounds += 1
    assert 3 == rounds
    assert 25 <= len(ledger.list_jobs()) <= 29


def test_what_is_left_out_or_stopped_is_told(scheduler, ledger, set_back, seen):
    """With the name, and with the reason why it cannot be followed."""
    ledger.schedules.add(a_definition(missed=Missed.SKIP, rule="every 1h"))
    set_back(7300)
    scheduler.run_once()
    assert [TicksLeftOut(schedule="nightly")] == of(seen, TicksLeftOut)
    set_back(1, rule="never")
    scheduler.run_once()
    (stopped,) = of(seen, ScheduleStopped)
    assert "nightly" == stopped.schedule
    assert "never" in stopped.why


def test_a_ledger_that_is_away_is_asked_again_at_the_usual_pause(ledger, events):
    """Whatever it knew of the next tick."""
    line = Unsteady(ledger)
    ledger.schedules.add(a_definition(rule="every 1s"))
    scheduler = Scheduler(
        line.as_ledger(), bool, events=events, clock=SystemClock(), pause_seconds=5.0, batch=10
    )
    scheduler.run_once()
    assert scheduler.pause_seconds <= 1.0
    line.before.add("next_due")
    with pytest.raises(LedgerUnavailable):
        scheduler.run_once()
    assert 5.0 == scheduler.pause_seconds


def declaration(ledger, events, *definitions, release=0):
    """What a worker of this release declares."""
    return Declaration(ledger, definitions, release=release, tasks=[TASK], events=events, pause_seconds=0.5)


def test_a_worker_declares_once(ledger, events, seen):
    """What changed is told by name; then it rests. The next worker changes nothing and says nothing."""
    for _ in range(2):
        declared = declaration(ledger, events, a_definition(), a_definition(name="weekly"))
        assert 0.5 == declared.pause_seconds
        for _ in range(3):
            assert not declared.run_once()
        assert REST_SECONDS == declared.pause_seconds
    assert [SchedulesDeclared(release=0, added="nightly, weekly")] == of(seen, SchedulesDeclared)
    assert 2 == len(ledger.schedules.listed())


def test_a_declaration_waits_for_the_ledger(ledger, events):
    """An outage at the start of a worker does not lose it."""
    line = Unsteady(ledger)
    line.before.add("declare")
    declared = declaration(line.as_ledger(), events, a_definition())
    with pytest.raises(LedgerUnavailable):
        declared.run_once()
    assert 0.5 == declared.pause_seconds
    line.before.clear()
    declared.run_once()
    assert ["nightly"] == [one.name for one in ledger.schedules.listed()]


def test_a_change_without_a_new_release_is_told_and_not_made(ledger, events, seen):
    """Half of a fleet would change it back (B21)."""
    declaration(ledger, events, a_definition(), release=3).run_once()
    declaration(ledger, events, a_definition(queue="new"), release=3).run_once()
    (kept,) = of(seen, ScheduleNotChanged)
    assert ("nightly", 3) == (kept.schedule, kept.release)
    assert "default" == ledger.schedules.one("nightly").definition.queue
    declaration(ledger, events, a_definition(queue="new"), release=4).run_once()
    assert "new" == ledger.schedules.one("nightly").definition.queue
