"""The decorator that turns a handler into a task."""

import inspect
import math
import typing
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, overload

from holdfast.jobs.errors import InvalidTask
from holdfast.jobs.job import DEFAULT_QUEUE
from holdfast.jobs.queues import QUEUE_RULE, is_queue
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.arguments import Arguments
from holdfast.tasks.context import TaskContext
from holdfast.tasks.kind import Task
from holdfast.tasks.naming import place, task_name
from holdfast.tasks.registry import Registry
from holdfast.tasks.registry import registry as process_registry
from holdfast.tasks.result_codec import ResultCodec
from holdfast.tasks.spec import TaskSpec

__all__ = ["DEFAULT_RETRY", "Decorator", "Task", "read_spec", "task"]

P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[..., Any]

DEFAULT_RETRY: Final = RetryPolicy()
LEAST_MEMORY_MB: Final = 256
"""Less would not hold the interpreter with the modules of a worker."""


class Decorator(Protocol):
    """What `@task(...)` returns: takes a handler of any of the four shapes."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[TaskContext, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(handler: Callable[Concatenate[TaskContext, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(handler: Callable[Concatenate[TaskContext, P], R], /) -> Task[P, R]: ...
@overload
def task(handler: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(handler: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    version: str = "1",
    retry: RetryPolicy = DEFAULT_RETRY,
    soft_timeout_seconds: float | None = None,
    hard_timeout_seconds: float | None = None,
    isolated: bool = False,
    memory_mb: int | None = None,
    adopt: bool | None = None,
    registry: Registry = process_registry,
) -> Decorator: ...
def task(
    handler: Handler | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    version: str = "1",
    retry: RetryPolicy = DEFAULT_RETRY,
    soft_timeout_seconds: float | None = None,
    hard_timeout_seconds: float | None = None,
    isolated: bool = False,
    memory_mb: int | None = None,
    adopt: bool | None = None,
    registry: Registry = process_registry,
) -> Any:
    """Turn an `async def` or a `def` into a task, and register it.

    The parameters' annotations are what arguments are checked with, before
    anything is written; the return annotation is the type of the result. A
    first parameter annotated TaskContext gets the context and is no argument.
    Raise `version` when old jobs must not run on new code. `adopt` lets plain
    Celery producers start the task (None: as the settings say). The retry
    policy defaults to five attempts; limits that are None are the settings' own
    (HOLDFAST_SOFT_TIMEOUT_SECONDS, HOLDFAST_HARD_TIMEOUT_SECONDS).

    `isolated=True` gives each attempt a process to itself: for work that keeps
    the CPU, that may crash its process, or that must be killed at its hard
    limit whatever it does. `memory_mb` caps that process (at least 256 MB).

    Raises InvalidTask: the handler cannot be called from JSON, or its name is taken.
    """

    def decorate(function: Handler) -> Task[..., Any]:
        made: Task[..., Any] = Task(
            read_spec(
                function,
                name=name,
                queue=queue,
                version=version,
                retry=retry,
                soft_timeout_seconds=soft_timeout_seconds,
                hard_timeout_seconds=hard_timeout_seconds,
                isolated=isolated,
                memory_mb=memory_mb,
                adopt=adopt,
            )
        )
        registry.add(made)
        return made

    return decorate if handler is None else decorate(handler)


def read_spec(
    handler: Handler,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    version: str = "1",
    retry: RetryPolicy = DEFAULT_RETRY,
    soft_timeout_seconds: float | None = None,
    hard_timeout_seconds: float | None = None,
    isolated: bool = False,
    memory_mb: int | None = None,
    adopt: bool | None = None,
) -> TaskSpec:
    """Read what is to be known of a handler. Raises InvalidTask."""
    full_name = task_name(handler, name)
    _check_limits(full_name, soft_timeout_seconds, hard_timeout_seconds)
    _check_memory(full_name, memory_mb, is_isolated=isolated)
    if not is_queue(queue):
        raise InvalidTask(detail=f"{full_name}: {queue!r:.100} is no queue name: {QUEUE_RULE}")
    hints = _hints(handler, full_name)
    takes_context = _takes_context(handler, hints)
    return TaskSpec(
        name=full_name,
        handler=handler,
        is_async=inspect.iscoroutinefunction(handler),
        takes_context=takes_context,
        version=version,
        queue=queue,
        retry=retry,
        soft_timeout_seconds=soft_timeout_seconds,
        hard_timeout_seconds=hard_timeout_seconds,
        isolated=isolated,
        memory_mb=memory_mb,
        adopt=adopt,
        signature=Arguments.of(handler, hints, task=full_name, skip=int(takes_context)),
        result=ResultCodec.of(hints, task=full_name),
        doc=(inspect.getdoc(handler) or "").partition("\n\n")[0],
    )


def _hints(handler: Handler, name: str) -> dict[str, Any]:
    is_generator = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
    if not inspect.isfunction(handler) or is_generator:
        raise InvalidTask(
            detail=f"{name} is no plain function",
            hint="Put @task on a `def` or `async def` of a module, not on a method, class or generator.",
        )
    try:
        return typing.get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise InvalidTask(
            detail=f"{place(handler)}: an annotation names {error.name!r}, which is not there at run time",
            hint="Import it outside of `if TYPE_CHECKING:` and define it at module level.",
        ) from error


def _takes_context(handler: Handler, hints: Mapping[str, object]) -> bool:
    names = list(inspect.signature(handler).parameters)
    with_context = [name for name in names if hints.get(name) is TaskContext]
    if not with_context:
        return False
    if with_context != names[:1]:
        raise InvalidTask(
            detail=f"{place(handler)}: the TaskContext is {with_context[-1]!r}",
            hint="It must be the first parameter.",
        )
    return True


def _check_limits(name: str, soft_seconds: float | None, hard_seconds: float | None) -> None:
    if hard_seconds is not None and not (math.isfinite(hard_seconds) and hard_seconds > 0):
        raise InvalidTask(detail=f"{name}: hard_timeout_seconds is {hard_seconds}, and must be more than 0")
    most = math.inf if hard_seconds is None else hard_seconds
    if soft_seconds is not None and not 0 < soft_seconds <= most:
        raise InvalidTask(
            detail=f"{name}: soft_timeout_seconds is {soft_seconds}, not from 0 to the hard {most}"
        )


def _check_memory(name: str, memory_mb: int | None, *, is_isolated: bool) -> None:
    if memory_mb is None:
        return
    if not is_isolated:
        raise InvalidTask(
            detail=f"{name}: memory_mb caps a process of its own", hint="Add isolated=True to the task."
        )
    if memory_mb < LEAST_MEMORY_MB:
        raise InvalidTask(detail=f"{name}: memory_mb is {memory_mb}, and must be at least {LEAST_MEMORY_MB}")
