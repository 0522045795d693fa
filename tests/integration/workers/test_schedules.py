"""Schedules with real workers: one job for each tick, though the workers that lead are killed."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.job import Job
from holdfast.jobs.schedules.definition import Definition
from holdfast.jobs.schedules.missed import Missed
from holdfast.jobs.state import JobState
from holdfast.ledger.types import instant_text
from holdfast.tests.support import scheduled_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until

MODULES = scheduled_tasks.__name__
SECOND = timedelta(seconds=1)
DONE = JobState.COMPLETED
SCHEDULES, SECONDS, WORKERS, KILLS = 1_000, 60, 5, 2


def done(held: Platform) -> list[Job]:
    """Return the jobs of ticks that are completed, in the order of their ticks."""
    jobs = held.ledger.list_jobs(states=[DONE], tasks=["scheduled.tick"], limit=1_000)
    return sorted((job for job in jobs if job.scheduled_for), key=lambda job: str(job.scheduled_for))


def test_each_second_has_its_job_though_the_leader_dies(held: Platform):
    """Declared by the code of two workers; none is missing and none is there twice, before and after."""
    for _ in range(2):
        held.worker(task_modules=MODULES)
    until(lambda: len(done(held)) >= 3, timeout_seconds=30, what="the first ticks")
    leader = until(held.leader, what="a leader")
    leader.kill()
    before = len(done(held))
    until(lambda: len(done(held)) >= before + 5, timeout_seconds=40, what="ticks after the leader's death")
    held.ledger.schedules.pause(scheduled_tasks.EVERY_SECOND)
    fired = held.ledger.schedules.one(scheduled_tasks.EVERY_SECOND).ticks
    jobs = until(lambda: all_of(done(held), fired), timeout_seconds=40, what="the end of all jobs")
    ticks = [job.scheduled_for for job in jobs]
    assert {SECOND} == {later - earlier for earlier, later in pairwise(ticks)}
    assert [f'"{tick.isoformat()}"' for tick in ticks if tick] == [job.result for job in jobs]


def all_of(jobs: list[Job], count: int) -> list[Job]:
    """Return the jobs if there are so many."""
    return jobs if len(jobs) == count else []


def test_a_tick_starts_within_its_second(embedded: Platform):
    """While the fleet has slots: the scheduler comes back when a tick is due, not with the next sweep."""
    embedded.worker(task_modules=MODULES, sweep_seconds=5.0, leader_seconds=15.0)
    until(lambda: len(done(embedded)) >= 6, timeout_seconds=90, what="ticks")
    # The first one may have waited for the worker's start.
    late = [job.started_at - job.scheduled_for for job in done(embedded)[2:] if job.started_at]
    assert sorted(late)[len(late) // 2] < 2 * SECOND, "on a machine that is busy"


def test_an_operator_pauses_what_the_code_declares(embedded: Platform):
    """And the next worker that starts changes nothing about it."""
    embedded.worker(task_modules=MODULES)
    until(lambda: done(embedded), timeout_seconds=30, what="a tick")
    assert embedded.ledger.schedules.pause(scheduled_tasks.EVERY_SECOND, "a test")
    embedded.worker(task_modules=MODULES)
    found = embedded.ledger.schedules.one(scheduled_tasks.EVERY_SECOND)
    assert "a test" == found.pause_reason
    run_now = embedded.ledger.schedules.run_now(scheduled_tasks.EVERY_SECOND).job_id
    embedded.until_all([run_now], DONE)
    assert found.ticks == embedded.ledger.schedules.one(scheduled_tasks.EVERY_SECOND).ticks


@pytest.mark.outage
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sixty_thousand_ticks(on_postgres: Platform):
    """A thousand schedules at one tick each second for a minute, five workers, two leaders killed: exact."""
    held = on_postgres
    for _ in range(WORKERS):
        held.worker(task_modules=MODULES, worker_slots=100, maintenance_batch=2_000)
    held.ledger.schedules.pause(scheduled_tasks.EVERY_SECOND)
    names = [f"s{number}" for number in range(SCHEDULES)]
    held.ledger.schedules.declare(
        [
            Definition(name=name, rule="every 1s", task="scheduled.tick", missed=Missed.ALL, priority=9)
            for name in names
        ],
        release=0,
        tasks=[],
    )
    start = SystemClock().now() + 2 * SECOND
    held.by_hand(
        "UPDATE schedules SET anchor = :at, next_tick = :first WHERE name LIKE 's%'",
        at=instant_text(start),
        first=instant_text(start + SECOND),
    )
    end = start + SECONDS * SECOND
    for kill in range(KILLS):
        at = start + (kill + 1) * SECONDS / (KILLS + 1) * SECOND
        until(lambda at=at: SystemClock().now() >= at, timeout_seconds=90, what="the time of a kill")
        leader = until(held.leader, timeout_seconds=30, what="a leader")
        leader.kill()
        held.worker(task_modules=MODULES, worker_slots=100, maintenance_batch=2_000, is_awaited=False)
    until(
        lambda: all(one.next_tick > end for one in held.ledger.schedules.listed() if one.paused_at is None),
        timeout_seconds=300,
        what="the last tick",
    )
    for name in names:
        held.ledger.schedules.pause(name)
    assert SCHEDULES * SECONDS == count(held, start, end)
    assert SCHEDULES == len(held.by_hand(
        "SELECT principal FROM jobs WHERE scheduled_for > :start AND scheduled_for <= :end"
        " GROUP BY principal HAVING COUNT(*) = 60 AND COUNT(DISTINCT scheduled_for) = 60",
        start=instant_text(start), end=instant_text(end),
    ))  # fmt: skip
    until(
        lambda: count(held, start, end, "completed") == SCHEDULES * SECONDS,
        timeout_seconds=500,
        what="the end of all jobs",
    )


def count(held: Platform, start: datetime, end: datetime, state: str = "%") -> int:
    """Count the jobs of the ticks of that minute."""
    ((found,),) = held.by_hand(
        "SELECT COUNT(*) FROM jobs"
        " WHERE scheduled_for > :start AND scheduled_for <= :end AND state LIKE :state",
        start=instant_text(start),
        end=instant_text(end),
        state=state,
    )
    return int(found)
