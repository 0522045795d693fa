"""A worker dies where the test says so; the job is rescued, and ends once."""

import asyncio

import pytest
from sqlalchemy import text

from holdfast.jobs.events import JobRescued, WorkerDeclaredDead
from holdfast.testing import CRASH_POINTS, Platform, crash_now, run_task_sync
from holdfast.tests.support.kit_tasks import (
    REGISTRY,
    book,
    book_in_a_thread,
    charge,
    greet,
    greet_in_a_thread,
)

CRASHES = [
    ("before_claim", ["completed"], 1),
    ("before_handler", ["lost", "completed"], 1),
    ("before_progress", ["lost", "completed"], 1),
    ("after_progress", ["lost", "completed"], 1),
    (("after_progress", 2), ["lost", "completed"], 2),
    (2, ["lost", "completed"], 2),
    ("before_settle", ["lost", "completed"], 2),
    ("after_settle", ["completed"], 1),
]


@pytest.mark.parametrize(("crash_at", "attempts", "calls"), CRASHES)
def test_a_job_survives_its_worker(platform: Platform, upstream, crash_at, attempts, calls):
    """An attempt whose worker died is `lost` and given back; what was settled stays settled."""
    outcome = platform.run_task_sync(charge, 7, crash_at=crash_at)
    assert (7, attempts) == (outcome.result(), [attempt.outcome for attempt in outcome.attempts])
    assert calls == len(upstream.calls)
    assert {1} == {attempt.number for attempt in outcome.attempts}
    assert 1 == sum(isinstance(event, WorkerDeclaredDead) for event in platform.events)
    rescued = [event for event in outcome.events if isinstance(event, JobRescued)]
    assert len(attempts) - 1 == len(rescued)
    assert 20 <= platform.clock.monotonic() <= 30


def test_a_handler_on_a_thread_dies_too(upstream):
    """Its report of progress is where it can."""
    outcome = run_task_sync(greet_in_a_thread, "Ada", crash_at=["before_progress", "after_progress"])
    assert ("Ada!", 1) == (outcome.result(), len(upstream.calls))
    assert ["lost", "lost", "completed"] == [attempt.outcome for attempt in outcome.attempts]


def test_a_stand_in_can_kill_the_worker(upstream):
    """`crash_now()` in what the handler calls is the death in the middle of it."""
    upstream.kills = 2
    outcome = run_task_sync(greet, "Ada")
    assert (["lost", "lost", "completed"], 3) == (
        [attempt.outcome for attempt in outcome.attempts],
        len(upstream.calls),
    )
    with pytest.raises(RuntimeError, match="outside of a handler"):
        crash_now()


@pytest.mark.parametrize(
    ("task", "crash_at", "attempts"),
    [
        (book, "before_commit", ["lost", "completed"]),
        (book, "after_commit", ["completed"]),
        (book_in_a_thread, "before_commit", ["lost", "completed"]),
    ],
)
def test_a_transaction_is_whole_or_not_at_all(platform: Platform, task, crash_at, attempts):
    """The handler's row and the job's end are committed together, whatever dies before or after."""
    with platform.session() as session:
        session.execute(text("CREATE TABLE bookings (order_id INTEGER)"))
        session.commit()
    outcome = platform.run_task_sync(task, 7, crash_at=crash_at)
    assert ("booked", attempts) == (outcome.result(), [attempt.outcome for attempt in outcome.attempts])
    with platform.session() as session:
        assert [7] == session.execute(text("SELECT order_id FROM bookings")).scalars().all()


@pytest.mark.parametrize("crash_at", range(1, 9))
def test_a_transaction_that_is_cut_off_holds_up_nobody(platform: Platform, crash_at):
    """A death at any await of it: the database hears of the end, and the next worker writes at once."""
    with platform.session() as session:
        session.execute(text("CREATE TABLE bookings (order_id INTEGER)"))
        session.commit()
    outcome = platform.run_task_sync(book, 7, crash_at=crash_at)
    assert ("booked", [("at_await", crash_at)]) == (outcome.result(), [*outcome.crashed_at])
    with platform.session() as session:
        assert [7] == session.execute(text("SELECT order_id FROM bookings")).scalars().all()


def test_a_death_that_never_came_fails_the_test(platform: Platform):
    """A test whose worker lived would prove nothing."""
    with pytest.raises(AssertionError, match=r"never came to .*before_progress"):
        platform.run_task_sync(greet, "Ada", crash_at="before_progress")


@pytest.mark.parametrize("crash_at", ["somewhere", 0, ("before_claim", 0), ["before_claim", "nowhere"]])
def test_a_point_that_does_not_exist_is_refused(crash_at):
    """With the list of those that do."""
    with pytest.raises(ValueError, match="before_handler"):
        run_task_sync(greet, "Ada", crash_at=crash_at)


def test_a_dead_worker_takes_all_its_jobs_along(upstream):
    """With two slots both are lost, and both are done by the next worker."""
    with Platform(registry=REGISTRY, slots=2) as platform:

        async def test():
            await charge.enqueue(1)
            await charge.enqueue(2)
            return await platform.run_available(crash_at="before_settle")

        outcomes = asyncio.run(test())
    assert [1, 2] == sorted(outcome.result() for outcome in outcomes)
    assert {("lost", "completed")} >= {
        tuple(attempt.outcome for attempt in outcome.attempts)
        for outcome in outcomes
        if len(outcome.attempts) > 1
    }
    assert any(len(outcome.attempts) > 1 for outcome in outcomes)


def test_a_dead_workers_handler_goes_no_further(platform: Platform, upstream):
    """It stands still where its worker died, and nothing it holds is waited for."""
    outcome = platform.run_task_sync(charge, 7, crash_at="before_progress")
    assert (["7"], 7) == (upstream.calls, outcome.result())


def test_every_point_has_a_name_to_be_used():
    """The list for `pytest.mark.parametrize` is complete."""
    assert {name for name, _ in map(_as_pair, (crash for crash, *_ in CRASHES))} <= set(CRASH_POINTS)


def _as_pair(crash_at):
    if isinstance(crash_at, int):
        return "at_await", crash_at
    return crash_at if isinstance(crash_at, tuple) else (crash_at, 1)
