"""Tasks that call an upstream through a guard, one of each kind; named by HOLDFAST_TASK_MODULES."""

from holdfast.resilience.guard.guard import Guard
from holdfast.tasks.task import task

GUARD = Guard("guarded", retry=None)


@task(name="guarded.on_loop")
async def on_loop() -> str:
    """Call on the event loop."""
    return await GUARD.acall(_answer)


@task(name="guarded.on_thread")
def on_thread() -> str:
    """Call on a thread."""
    return GUARD.call(lambda: "answer")


@task(name="guarded.apart", isolated=True)
async def apart() -> str:
    """Call in a process of its own."""
    return await GUARD.acall(_answer)


async def _answer() -> str:
    return "answer"
