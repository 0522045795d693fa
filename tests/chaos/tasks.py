"""What the workers run: handlers that tell the witness of each effect, and do harm where they are asked to.

`work` has all three kinds of effects of a job: at a receiver without keys, at one that honours the
idempotency key, and inside the transaction that completes the job.
"""

import asyncio
import os
import resource
import signal
import time
from functools import cache

from sqlalchemy import text

from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import task
from holdfast.tests.chaos.voice import Voice

MODULE = __name__
EFFECTS = "CREATE TABLE chaos_effects (job_id TEXT, attempt INTEGER, fence TEXT)"
INSERT = text("INSERT INTO chaos_effects (job_id, attempt, fence) VALUES (:job, :attempt, :fence)")
# Waits that fit into a run of seconds; the number of attempts stays that of an ordinary task.
QUICK = RetryPolicy(max_attempts=5, base_seconds=0.2, cap_seconds=1.0)
PIECE_BYTES = 16 * 1024 * 1024
OK = 200
# What docs/resilience.md says to set for an HTTP API.
UPSTREAM = Guard("witness", timeout_seconds=10.0, breaker=BreakerPolicy(slow_after_seconds=5.0))


class Refused(Exception):
    """The upstream answered, and not what was asked for; shaped like the errors of HTTP clients."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"HTTP {status_code}")
        self.status_code = status_code


@task(name="chaos.work", retry=QUICK)
async def work(ctx: TaskContext, seconds: float, linger: float = 0.0) -> str:
    """Wait, have both outside effects, linger in the gap that no one can close, complete."""
    await tell(ctx, "start")
    await asyncio.sleep(seconds)
    await have_effects(ctx)
    await asyncio.sleep(linger)
    await complete(ctx)
    return "ignored: completed above"


@task(name="chaos.light", retry=QUICK)
async def light(ctx: TaskContext) -> str:
    """Have the outside effects only, for runs with thousands of jobs."""
    await have_effects(ctx)
    return "done"


@task(name="chaos.kill", retry=QUICK)
async def kill(ctx: TaskContext, seconds: float) -> str:
    """Kill the process that runs this, each time."""
    await tell(ctx, "start")
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGSEGV)
    return "never said"


@task(name="chaos.swallow", retry=QUICK)
async def swallow(ctx: TaskContext, seconds: float) -> str:
    """At the first attempt take all memory that the process may have, and keep it for a while."""
    await tell(ctx, "start")
    if ctx.attempt == 1:
        await _hold_everything(seconds)
    await have_effects(ctx)
    await complete(ctx)
    return "ignored: completed above"


@task(name="chaos.call", retry=QUICK, upstreams=[UPSTREAM])
async def call(ctx: TaskContext) -> str:
    """Call the upstream once, through its guard, as the page on upstreams shows it."""
    await UPSTREAM.acall(_ask, _names(ctx))
    await have_effects(ctx)
    await complete(ctx)
    return "ignored: completed above"


async def _ask(names: dict) -> None:
    answer = await _voice().say({"say": "call", **names})
    if answer["status"] != OK:
        raise Refused(answer["status"])


async def tell(ctx: TaskContext, kind: str, key: str | None = None) -> None:
    """Tell the witness that this happened."""
    await _voice().say({"say": kind, **_names(ctx), "key": key})


async def have_effects(ctx: TaskContext) -> None:
    """Have both outside effects."""
    await tell(ctx, "raw")
    await tell(ctx, "keyed", ctx.idempotency_key("effect"))


async def complete(ctx: TaskContext) -> None:
    """Write the inside effect and complete the job, in one transaction."""
    names = _names(ctx)
    async with ctx.transaction() as session:
        await session.execute(INSERT, {name: names[name] for name in ("job", "attempt", "fence")})
        ctx.complete(session, "done")


def _names(ctx: TaskContext) -> dict:
    fence = ctx._lease.fence  # noqa: SLF001 -- handlers do not see it; the witness keeps it to tell claims apart
    return {
        "job": ctx.job.id,
        "step": "effect",
        "attempt": ctx.attempt,
        "fence": str(fence),
        "pid": os.getpid(),
        "wall": time.time(),  # noqa: TID251 -- what this worker's own clock shows is what some runs are about
    }


async def _hold_everything(seconds: float) -> None:
    """Take memory until none is left, keep it for a while, and fail as whoever runs out of it."""
    pieces = []
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    try:
        while soft != resource.RLIM_INFINITY:
            pieces.append(bytearray(PIECE_BYTES))
    except MemoryError:
        await asyncio.sleep(seconds)
        pieces.clear()
        raise


@cache
def _voice() -> Voice:
    return Voice()
