"""Tasks that begin by themselves; named by HOLDFAST_TASK_MODULES in tests of schedules alone."""

from holdfast.tasks import Schedule, TaskContext, task

EVERY_SECOND = "each-second"


@task(name="scheduled.tick", schedule=Schedule("every 1s", name=EVERY_SECOND, missed="all"))
async def tick(ctx: TaskContext) -> str:
    """Return the tick that it is for."""
    assert ctx.scheduled_for is not None
    return ctx.scheduled_for.isoformat()
