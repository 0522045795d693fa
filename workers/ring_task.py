"""One of our tasks as Celery knows it: Celery routes a message by the name of its task."""

from typing import Any, cast

from celery import Celery, Task

from holdfast.tasks.task import Task as JobTask
from holdfast.workers.celery_view import RequestStack


def ring_task(task: "JobTask[..., Any]") -> "Task[..., object]":
    """Make the task: a message of its name is a ring, and calling it enqueues."""

    def run(*_: object, **__: object) -> None:
        raise TypeError(
            f"{task.name} runs through the ledger; call enqueue(), delay() or apply_async() on it"
        )

    def apply_async(_: object, args: Any = None, kwargs: Any = None, **options: Any) -> object:
        return task.apply_async(args=args, kwargs=kwargs, **options)

    members: dict[str, object] = {
        "name": task.name,
        "run": staticmethod(run),
        "apply_async": apply_async,
        "Strategy": "holdfast.workers.strategy:ring_strategy",
        "on_bound": classmethod(_use_own_stack),
        "acks_late": False,
        "ignore_result": False,
        "send_events": True,
        "__module__": task.spec.handler.__module__,
        "__doc__": task.spec.doc,
    }
    return cast("Task[..., object]", type("RingTask", (Task,), members)())


def _use_own_stack(cls: Any, app: Celery) -> None:
    # Binding gives each task class a stack per thread; our jobs share one thread and need one per context.
    del app
    cls.request_stack = RequestStack()
