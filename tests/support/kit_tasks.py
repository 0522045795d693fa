"""Tasks for the tests of the test kit, and what they call outside."""

import asyncio
from datetime import date
from typing import Final

from sqlalchemy import text

from holdfast.jobs.signals import Park, Snooze
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.context import TaskContext
from holdfast.tasks.registry import Registry
from holdfast.tasks.task import task
from holdfast.testing import crash_now

REGISTRY: Final = Registry()


class Upstream:
    """Outside of the platform: counts its calls, fails, kills the worker, and knows idempotency keys."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Be as at the beginning."""
        self.calls: list[str] = []
        self.keys: set[str] = set()
        self.fails: int = 0
        self.kills: int = 0
        self.began = asyncio.Event()

    def call(self, what: str) -> str:
        """Do what is asked for, unless it was told to fail or to kill."""
        self.calls.append(what)
        if len(self.calls) <= self.fails:
            raise ConnectionResetError("the upstream hung up")
        if len(self.calls) <= self.kills:
            crash_now()
        return f"{what}!"


UPSTREAM: Final = Upstream()


@task(name="kit.greet", registry=REGISTRY)
async def greet(name: str, times: int = 1) -> str:
    """Greet, through the upstream."""
    await asyncio.sleep(0)
    return " ".join([UPSTREAM.call(name)] * times)


@task(name="kit.greet_in_a_thread", registry=REGISTRY)
def greet_in_a_thread(ctx: TaskContext, name: str) -> str:
    """Do it on a thread."""
    ctx.progress_sync(1, 2, "half")
    return UPSTREAM.call(name)


@task(name="kit.charge", registry=REGISTRY, retry=RetryPolicy(max_attempts=4, base_seconds=60.0))
async def charge(ctx: TaskContext, order: int, day: date | None = None) -> int:
    """Report, call the upstream with a key, report."""
    await ctx.progress(0, 2, "charging")
    UPSTREAM.keys.add(ctx.idempotency_key("charge"))
    UPSTREAM.call(str(order))
    await ctx.progress(1, 2, "charged")
    await greet.options(key=f"thanks-{order}", queue="mail", delay_seconds=60.0).enqueue("Ada")
    return order


@task(name="kit.book", registry=REGISTRY)
async def book(ctx: TaskContext, order: int) -> str:
    """Write a row in the ledger's database, under the fence, and be complete with it."""
    async with ctx.transaction() as session:
        await session.execute(text("INSERT INTO bookings (order_id) VALUES (:order)"), {"order": order})
        ctx.complete(session, "booked")
    return "not this"


@task(name="kit.book_in_a_thread", registry=REGISTRY)
def book_in_a_thread(ctx: TaskContext, order: int) -> str:
    """Do it on a thread."""
    with ctx.transaction_sync() as session:
        session.execute(text("INSERT INTO bookings (order_id) VALUES (:order)"), {"order": order})
    return "booked"


@task(name="kit.ask", registry=REGISTRY)
async def ask(ctx: TaskContext, seconds: float) -> str:
    """Snooze once, then park until somebody wakes the job."""
    UPSTREAM.calls.append("asked")
    if len(UPSTREAM.calls) == 1:
        raise Snooze(delay_seconds=seconds)
    if len(UPSTREAM.calls) == 2:
        raise Park("approval")
    return "approved"


@task(name="kit.snooze_for_ever", registry=REGISTRY)
async def snooze_for_ever() -> None:
    """Never end."""
    raise Snooze(delay_seconds=1.0)


@task(name="kit.wait", registry=REGISTRY)
async def wait() -> None:
    """Wait until cancelled, and tidy up."""
    UPSTREAM.began.set()
    try:
        await asyncio.Event().wait()
    finally:
        UPSTREAM.calls.append("tidied")


@task(name="kit.parent", registry=REGISTRY)
async def parent(names: list[str]) -> list[str]:
    """Enqueue one job for each name, and give their ids."""
    return [handle.id for handle in await greet.enqueue_many([(name,) for name in names])]
