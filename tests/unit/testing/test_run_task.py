"""`run_task`: one job from its arguments to its end, in one call."""

import asyncio

import pytest

from holdfast.jobs.errors import InvalidArguments, JobQuarantined, ResultTimeout
from holdfast.testing import every_crash, every_crash_sync, run_task, run_task_sync
from holdfast.tests.support.kit_tasks import (
    ask,
    charge,
    greet,
    greet_in_a_thread,
    parent,
    snooze_for_ever,
)


@pytest.mark.parametrize("task", [greet, greet_in_a_thread], ids=["on the loop", "on a thread"])
def test_a_task_runs_in_one_call(task):
    """Enqueued, claimed, run and settled; the result is what a caller reads from the ledger."""
    outcome = run_task_sync(task, "Ada")
    assert ("completed", "Ada!") == (outcome.state, outcome.result())
    assert ["completed"] == [attempt.outcome for attempt in outcome.attempts]
    assert ["enqueue", "claim", "complete"] == [moment.kind for moment in outcome.history]


def test_it_runs_on_the_loop_of_the_test():
    """An async test awaits it, and the handler shares its loop: fixtures bound to a loop work."""

    async def test() -> str:
        return (await run_task(greet, "Ada", times=2)).result()

    assert "Ada! Ada!" == asyncio.run(test())


def test_the_synchronous_twin_works_inside_a_running_loop():
    """Then it has a loop of its own, on a thread."""

    async def test() -> str:
        return run_task_sync(greet, "Ada").result()

    assert "Ada!" == asyncio.run(test())


def test_wrong_arguments_are_the_callers_error():
    """As with `enqueue`: nothing is written and nothing runs."""
    with pytest.raises(InvalidArguments, match="times"):
        run_task_sync(greet, "Ada", times="often")


def test_retries_take_no_time(upstream):
    """The clock goes to each retry; the story of all attempts is there."""
    upstream.fails = 2
    outcome = run_task_sync(charge, 7)
    assert ["retry", "retry", "completed"] == [attempt.outcome for attempt in outcome.attempts]
    assert (7, ["7"] * 3, 1) == (outcome.result(), upstream.calls, len(upstream.keys))
    assert ["charging"] * 3 + ["charged"] == [report.text for report in outcome.progress]
    waited = outcome.attempts[-1].started_at - outcome.attempts[0].started_at
    assert 0 < waited.total_seconds() <= 60 + 120


def test_a_failure_is_raised_when_the_result_is_asked_for(upstream):
    """And then with the handler's own exception as its cause, so that its traceback is shown."""
    upstream.fails = 9
    outcome = run_task_sync(charge, 7)
    assert ("quarantined", "attempts_exhausted", 4) == (
        outcome.state,
        outcome.reason,
        len(outcome.attempts),
    )
    assert "ConnectionResetError" == outcome.failure.type
    with pytest.raises(JobQuarantined, match="hung up") as raised:
        outcome.result()
    assert outcome.error is raised.value.__cause__
    assert isinstance(outcome.error, ConnectionResetError)


def test_a_job_that_waits_for_somebody_ends_early():
    """Snoozed without waiting, then parked: it says what for, and has no result."""
    outcome = run_task_sync(ask, 3600.0)
    assert ["snooze", "park"] == [attempt.outcome for attempt in outcome.attempts]
    with pytest.raises(ResultTimeout, match="parked"):
        outcome.result()


def test_a_job_without_end_fails_the_test():
    """It would turn in circles for a week of its clock."""
    with pytest.raises(AssertionError, match=r"snooze_for_ever .* ran 101 times"):
        run_task_sync(snooze_for_ever)


def test_what_it_enqueues_is_told_and_not_run(upstream):
    """A test of one task stays one of that task."""
    outcome = run_task_sync(parent, ["Ada", "Bob"])
    assert [] == upstream.calls
    assert [("kit.greet", {"name": "Ada"}), ("kit.greet", {"name": "Bob"})] == [
        (job.task, job.arguments) for job in outcome.enqueued
    ]


def test_options_are_said_as_everywhere():
    """`task.options(...)` is run with its options."""
    outcome = run_task_sync(greet.options(priority=1, tenant="acme", delay_seconds=60), "Ada")
    assert (1, "acme") == (outcome.job.priority, outcome.job.tenant)
    assert "Ada!" == outcome.result()


def test_a_handler_can_be_killed_wherever_it_passes(upstream):
    """Whichever point the worker dies at, the job is done once, with one key for the outside."""
    seen = []
    for outcome in every_crash_sync(charge, 7):
        assert 7 == outcome.result(), outcome.crashed_at
        assert 1 == len(upstream.keys)
        assert 1 == len({job.id for job in outcome.enqueued if job.key == "thanks-7"})
        seen += outcome.crashed_at
        upstream.forget()
    points = {name for name, _ in seen}
    assert {
        "before_claim", "before_handler", "at_await", "before_progress", "after_progress",
        "before_settle", "after_settle",
    } == points  # fmt: skip
    assert ("after_progress", 2) in seen


def test_the_same_in_an_async_test(upstream):
    """`async for` goes through the same crashes."""

    async def test() -> list[str]:
        return [outcome.result() async for outcome in every_crash(greet, "Ada")]

    assert {"Ada!"} == set(asyncio.run(test()))
