"""Run one task, on a platform of its own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, ParamSpec, TypeVar, overload

from holdfast.tasks.bound import BoundTask
from holdfast.testing.blocking import wait_for
from holdfast.testing.outcome import JobOutcome
from holdfast.testing.platform import Crashes, Platform

P = ParamSpec("P")
R = TypeVar("R")


@overload
async def run_task(task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobOutcome[R]: ...
@overload
async def run_task(
    task: BoundTask[..., R], /, *args: Any, crash_at: Crashes, **kwargs: Any
) -> JobOutcome[R]: ...
@overload
async def run_task(
    task: BoundTask[..., R],
    /,
    *args: Any,
    crash_at: Crashes = ...,
    written_as: str,
    **kwargs: Any,
) -> JobOutcome[R]: ...
async def run_task(
    task: Any,
    /,
    *args: Any,
    crash_at: Any = None,
    written_as: Any = None,
    **kwargs: Any,
) -> JobOutcome[Any]:
    """Enqueue one job of a task on an empty ledger and run it to its end; `Platform.run_task` says how.

    `crash_at` says where its worker dies: one of CRASH_POINTS, a number (3: at the third
    await of the handler), a pair of point and number, or a list of these. `written_as` is the older
    version of the task whose arguments these are, as a job from before a deploy has them.
    """
    with Platform() as platform:
        return await platform.run_task(task, *args, crash_at=crash_at, written_as=written_as, **kwargs)


@overload
def run_task_sync(task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobOutcome[R]: ...
@overload
def run_task_sync(
    task: BoundTask[..., R], /, *args: Any, crash_at: Crashes, **kwargs: Any
) -> JobOutcome[R]: ...
@overload
def run_task_sync(
    task: BoundTask[..., R],
    /,
    *args: Any,
    crash_at: Crashes = ...,
    written_as: str,
    **kwargs: Any,
) -> JobOutcome[R]: ...
def run_task_sync(
    task: Any,
    /,
    *args: Any,
    crash_at: Any = None,
    written_as: Any = None,
    **kwargs: Any,
) -> JobOutcome[Any]:
    """Do the same in synchronous code, on an event loop of its own."""
    return wait_for(lambda: run_task(task, *args, crash_at=crash_at, written_as=written_as, **kwargs))


async def every_crash(
    task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> AsyncIterator[JobOutcome[R]]:
    """Run a task in peace, and then once more for each point that its worker passed, dying there.

    Yields the outcome of each run; `outcome.crashed_at` says where. What your
    stand-ins count or keep, reset between two runs, in the body of the loop.
    """
    peaceful = await run_task(task, *args, **kwargs)
    yield peaceful
    for point in peaceful.passed:
        yield await run_task(task, *args, crash_at=point, **kwargs)


def every_crash_sync(task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[JobOutcome[R]]:
    """Do the same in synchronous code."""
    peaceful = run_task_sync(task, *args, **kwargs)
    yield peaceful
    for point in peaceful.passed:
        yield run_task_sync(task, *args, crash_at=point, **kwargs)
