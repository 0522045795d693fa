"""Tasks that try how much of a limit their process has; named by HOLDFAST_TASK_MODULES."""

import time

from holdfast.jobs.errors import RateLimited
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits.limiter import Limiter
from holdfast.resilience.limits.policy import RateLimit
from holdfast.resilience.limits.rate_layer import RateLayer
from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import task

CALLS = 60
BY_THE_SECOND = 10
RATED = Guard("rated", limits=[RateLayer(Limiter("rated", [RateLimit("requests", BY_THE_SECOND, 1.0)]))])
HOURLY = RateLimit("requests", CALLS, 3_600, burst=CALLS)


@task(name="limited.rated")
async def rated() -> float:
    """Make one call to an upstream that takes ten a second; return when."""
    return await RATED.acall(_now)


async def _now() -> float:
    return time.monotonic()


@task(name="limited.try_out")
def try_out(ctx: TaskContext) -> int:
    """Take of a limit of this job's own what passes at once."""
    return _passing(ctx.job.id)


@task(name="limited.try_out_apart", isolated=True)
def try_out_apart(ctx: TaskContext) -> int:
    """Do the same in a process of its own."""
    return _passing(ctx.job.id)


def _passing(upstream: str) -> int:
    limiter = Limiter(upstream, [HOURLY])
    for count in range(CALLS + 1):
        try:
            limiter.acquire()
        except RateLimited:
            return count
    return CALLS + 1
