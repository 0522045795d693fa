"""What the type checker must accept: a task is as typed as its handler."""

from typing import assert_type

from holdfast import Client, Handle, RetryPolicy, Task, TaskContext, Unique, connect, task
from holdfast.tasks.bound import BoundTask
from holdfast.testing import JobOutcome, Platform, run_task, run_task_sync


@task
async def with_context(ctx: TaskContext, name: str, *, times: int = 1) -> str:
    """An async handler that takes the context."""
    return name * times + ctx.job.id


@task(name="shop.plain", retry=RetryPolicy(max_attempts=3))
async def plain(name: str) -> list[int]:
    """An async handler without one."""
    return [len(name)]


@task
def threaded(ctx: TaskContext, number: int) -> float:
    """A handler that runs on a thread."""
    return number + ctx.attempt


@task(queue="slow", unique=Unique(by=(), on_conflict="drop"))
def bare() -> None:
    """The shortest handler."""


assert_type(bare, Task[[], None])


async def enqueue() -> None:
    """Every way to enqueue keeps the result's type."""
    assert_type(await with_context.enqueue("Ada", times=2), Handle[str])
    assert_type(await (await plain.enqueue(name="Ada")).result(), list[int])
    assert_type(threaded.enqueue_sync(number=1).result_sync(), float)
    assert_type(plain.delay("Ada"), Handle[list[int]])
    assert_type(plain.apply_async(("Ada",), countdown=5), Handle[list[int]])
    assert_type((await plain.enqueue_many([("Ada",), {"name": "Eve"}]))[0], Handle[list[int]])
    assert_type(await with_context.options(key="x", priority=1).enqueue("Ada", times=2), Handle[str])
    assert_type(bare.options(delay_seconds=5, unique=False), BoundTask[[], None])
    await bare.enqueue()


async def by_client() -> None:
    """The client infers from the task, too."""
    async with connect() as client:
        assert_type(client, Client)
        assert_type(await client.enqueue(plain, ("Ada",)), Handle[list[int]])
    with connect() as client:
        assert_type(client.enqueue_sync(threaded, {"number": 1}), Handle[float])


async def in_a_test() -> None:
    """The test kit's outcome has the result's type, and a crash changes nothing of that."""
    assert_type(await run_task(with_context, "Ada", times=2), JobOutcome[str])
    assert_type((await run_task(plain, "Ada", crash_at="before_settle")).result(), list[int])
    assert_type(run_task_sync(threaded.options(priority=1), number=1), JobOutcome[float])
    with Platform() as platform:
        assert_type(await platform.run_task(bare), JobOutcome[None])
        assert_type(
            platform.run_task_sync(plain, "Ada", crash_at=[1, ("after_progress", 2)]), JobOutcome[list[int]]
        )
        assert_type(platform.outcome(await plain.enqueue("Ada")).result(), list[int])
