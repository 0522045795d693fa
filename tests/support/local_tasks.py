"""Tasks that do everything a context can; for runs that must leave no trace."""

from sqlalchemy import text

from holdfast.jobs import signals
from holdfast.tasks import ambient
from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import task

INSERT = text("INSERT INTO notes VALUES (:note)")
COUNT = text("SELECT count(*) FROM notes")


@task(name="local.fails")
def fails() -> None:
    """Raise what a handler raises."""
    raise ValueError("no such customer")


@task(name="local.parks")
async def parks() -> None:
    """Wait for an upstream."""
    raise signals.Park("upstream:search")


@task(name="local.everything")
async def everything(ctx: TaskContext, name: str) -> str:
    """Use all of the context on the event loop."""
    await ctx.progress(1, 2, "half")
    async with ctx.transaction() as session:
        await session.execute(INSERT, {"note": name})
        await fails.options(session=session).enqueue()
        assert (await session.execute(COUNT)).scalar_one()
    await fails.options(key="once").enqueue()
    await ambient.current_client().cancel("other")
    async with ctx.transaction() as session:
        assert not (await session.execute(COUNT)).scalar_one(), "the first one is undone"
        ctx.complete(session, "completed")
    return f"Hello, {name}: {', '.join(ctx.job.tags)}"


@task(name="local.everything_sync")
def everything_sync(ctx: TaskContext, name: str) -> str:
    """Use all of the context in a `def` handler."""
    ctx.progress_sync(1, 2, "half")
    with ctx.transaction_sync() as session:
        session.execute(INSERT, {"note": name})
        fails.options(session=session).enqueue_sync()
        assert session.execute(COUNT).scalar_one()
    fails.options(key="once").enqueue_sync()
    ambient.current_client().cancel_sync("other")
    with ctx.transaction_sync() as session:
        assert not session.execute(COUNT).scalar_one(), "the first one is undone"
        ctx.complete(session, "completed")
    return f"Hello, {name}: {', '.join(ctx.job.tags)}"


@task(name="local.parent")
async def parent(ctx: TaskContext, names: list[str]) -> list[str]:
    """Wait for children."""
    return await ctx.map(greet, [(name,) for name in names])


@task(name="local.greet")
async def greet(name: str) -> str:
    """Greet one."""
    return f"Hello, {name}!"
