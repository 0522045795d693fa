"""What the second version of a module brings: a task that workers of the first one do not know."""

from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import task
from holdfast.tests.support.sample_tasks import QUICK, witness


@task(name="later.witness", retry=QUICK)
async def later(ctx: TaskContext, folder: str, name: str, seconds: float = 0.0) -> int:
    """Do what the older task does."""
    return await witness(ctx, folder, name, seconds)
