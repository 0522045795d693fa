"""What the type checker must reject; each such line names the error code that it expects."""

from holdfast import TaskContext, task
from holdfast.testing import run_task_sync


@task
async def greet(ctx: TaskContext, name: str, *, times: int = 1) -> str:
    """A handler."""
    return name * times + ctx.job.id


@task(name="shop.double")
def double(number: int) -> int:
    """Another one."""
    return 2 * number


async def wrong() -> tuple[str, int]:
    """Wrong arguments, wrong names, wrong results."""
    await greet.enqueue()  # E: call-arg
    await greet.enqueue(5)  # E: arg-type
    await greet.enqueue("Ada", 2)  # E: call-arg
    await greet.enqueue("Ada", times="often")  # E: arg-type
    await greet.enqueue("Ada", key="x")  # E: call-arg
    await greet.options(nonsense=1).enqueue("Ada")  # E: call-arg
    await greet.options(key="x").enqueue(7)  # E: arg-type
    await greet.options(priority="high").enqueue("Ada")  # E: arg-type
    double.enqueue_sync("one")  # E: arg-type
    double.delay(1, 2)  # E: call-arg
    text: str = double.enqueue_sync(1).result_sync()  # E: assignment
    number: int = await (await greet.enqueue("Ada")).result()  # E: assignment
    return text, number


@task(name=5)  # E: call-overload, untyped-decorator
def numbered() -> None:
    """A name is text."""


@task(timeout=5)  # E: call-overload, untyped-decorator
def limited() -> None:
    """The name of the option says soft or hard, and the unit."""


def in_a_test() -> None:
    """The test kit checks a call as `enqueue` does."""
    run_task_sync(double, "one")  # E: call-overload
    run_task_sync(double, 1, crash_at="nowhere")  # E: call-arg
