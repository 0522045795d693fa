"""The decorator that turns a handler into a task."""

import inspect
import math
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, overload

from holdfast.jobs.concurrency import TENANT, ConcurrencyLimit
from holdfast.jobs.errors import InvalidTask
from holdfast.jobs.job import DEFAULT_QUEUE
from holdfast.jobs.queues import QUEUE_RULE, is_queue
from holdfast.jobs.unique import Unique
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, is_upstream
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.arguments import Arguments
from holdfast.tasks.context import TaskContext
from holdfast.tasks.kind import Task
from holdfast.tasks.naming import place, task_name
from holdfast.tasks.registry import Registry
from holdfast.tasks.registry import registry as process_registry
from holdfast.tasks.result_codec import ResultCodec
from holdfast.tasks.schedules import ScheduleOption, schedules_of
from holdfast.tasks.spec import TaskSpec
from holdfast.tasks.upcasts import Upcast, Upcasts

__all__ = ["DEFAULT_RETRY", "Decorator", "Named", "Task", "Upstream", "read_spec", "task"]

P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[..., Any]

DEFAULT_RETRY: Final = RetryPolicy()
LEAST_MEMORY_MB: Final = 256
"""Less would not hold the interpreter with the modules of a worker."""


class Named(Protocol):
    """An object that stands for an upstream, such as its guard."""

    @property
    def name(self) -> str:
        """The upstream's name."""
        ...


Upstream = str | Named


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
    upcasts: Mapping[str, Upcast] | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
    soft_timeout_seconds: float | None = None,
    hard_timeout_seconds: float | None = None,
    isolated: bool = False,
    memory_mb: int | None = None,
    upstreams: Iterable[Upstream] = (),
    concurrency: int | None = None,
    per: str | None = None,
    schedule: ScheduleOption | None = None,
    unique: Unique | None = None,
    adopt: bool | None = None,
    registry: Registry = process_registry,
) -> Decorator: ...
def task(  # noqa: PLR0913 -- each is a keyword with a default
    handler: Handler | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    version: str = "1",
    upcasts: Mapping[str, Upcast] | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
    soft_timeout_seconds: float | None = None,
    hard_timeout_seconds: float | None = None,
    isolated: bool = False,
    memory_mb: int | None = None,
    upstreams: Iterable[Upstream] = (),
    concurrency: int | None = None,
    per: str | None = None,
    schedule: ScheduleOption | None = None,
    unique: Unique | None = None,
    adopt: bool | None = None,
    registry: Registry = process_registry,
) -> Any:
    """Turn an `async def` or a `def` into a task, and register it; `TaskSpec` says what each option means.

    The parameters' annotations are what arguments are checked with, before
    anything is written; the return annotation is the type of the result. A
    first parameter annotated TaskContext gets the context and is no argument.

    Raises InvalidTask (the handler cannot be called from JSON, or its name is taken) or InvalidSchedule.
    """

    def decorate(function: Handler) -> Task[..., Any]:
        made: Task[..., Any] = Task(
            read_spec(
                function,
                name=name,
                queue=queue,
                version=version,
                upcasts=upcasts,
                retry=retry,
                soft_timeout_seconds=soft_timeout_seconds,
                hard_timeout_seconds=hard_timeout_seconds,
                isolated=isolated,
                memory_mb=memory_mb,
                upstreams=upstreams,
                concurrency=concurrency,
                per=per,
                schedule=schedule,
                unique=unique,
                adopt=adopt,
            )
        )
        registry.add(made)
        return made

    return decorate if handler is None else decorate(handler)


def read_spec(  # noqa: PLR0913 -- each is a keyword with a default
    handler: Handler,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    version: str = "1",
    upcasts: Mapping[str, Upcast] | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
    soft_timeout_seconds: float | None = None,
    hard_timeout_seconds: float | None = None,
    isolated: bool = False,
    memory_mb: int | None = None,
    upstreams: Iterable[Upstream] = (),
    concurrency: int | None = None,
    per: str | None = None,
    schedule: ScheduleOption | None = None,
    unique: Unique | None = None,
    adopt: bool | None = None,
) -> TaskSpec:
    """Read what is to be known of a handler. Raises InvalidTask or InvalidSchedule."""
    full_name = task_name(handler, name)
    _check_limits(full_name, soft_timeout_seconds, hard_timeout_seconds)
    _check_memory(full_name, memory_mb, is_isolated=isolated)
    if not is_queue(queue):
        raise InvalidTask(detail=f"{full_name}: {queue!r:.100} is no queue name: {QUEUE_RULE}")
    hints = _hints(handler, full_name)
    takes_context = _takes_context(handler, hints)
    signature = Arguments.of(handler, hints, task=full_name, skip=int(takes_context))
    _check_unique(full_name, unique, signature)
    spec = TaskSpec(
        name=full_name,
        handler=handler,
        is_async=inspect.iscoroutinefunction(handler),
        takes_context=takes_context,
        version=version,
        upcasts=Upcasts.of(full_name, version, upcasts),
        queue=queue,
        retry=retry,
        soft_timeout_seconds=soft_timeout_seconds,
        hard_timeout_seconds=hard_timeout_seconds,
        isolated=isolated,
        memory_mb=memory_mb,
        upstreams=_names(full_name, upstreams),
        adopt=adopt,
        concurrency=_limit(full_name, concurrency, per, signature),
        unique=unique,
        signature=signature,
        result=ResultCodec.of(hints, task=full_name),
        doc=(inspect.getdoc(handler) or "").partition("\n\n")[0],
    )
    return replace(spec, schedules=schedules_of(spec, schedule))


def _limit(name: str, most: int | None, per: str | None, signature: Arguments) -> ConcurrencyLimit | None:
    if most is None:
        if per is not None:
            raise InvalidTask(detail=f"{name}: per={per!r:.100} says of whom, and not how many")
        return None
    if most < 1:
        raise InvalidTask(detail=f"{name}: concurrency is {most}, and must be at least 1")
    if per is not None and per != TENANT and per not in signature.signature.parameters:
        raise InvalidTask(
            detail=f"{name}: per={per!r:.100} is no parameter of its handler",
            hint='Name a parameter, or "tenant".',
        )
    return ConcurrencyLimit(most, per)


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


def _names(task: str, upstreams: Iterable[Upstream]) -> tuple[str, ...]:
    if isinstance(upstreams, str):
        raise InvalidTask(detail=f"{task}: upstreams is a text", hint="Give a list: upstreams=['search'].")
    names: list[str] = []
    for one in upstreams:
        name: object = getattr(one, "name", one)
        if not (isinstance(name, str) and is_upstream(name)):
            raise InvalidTask(
                detail=f"{task}: {name!r:.100} is no upstream: 1 to {LONGEST_UPSTREAM} printable characters"
            )
        names.append(name)
    return tuple(dict.fromkeys(names))


def _check_unique(name: str, unique: Unique | None, signature: Arguments) -> None:
    if unique is None or unique.by == "arguments":
        return
    if missing := [one for one in unique.by if one not in signature.names]:
        raise InvalidTask(detail=f"{name}: unique by {', '.join(missing)}, which is no parameter of it")


def _check_memory(name: str, memory_mb: int | None, *, is_isolated: bool) -> None:
    if memory_mb is None:
        return
    if not is_isolated:
        raise InvalidTask(
            detail=f"{name}: memory_mb caps a process of its own", hint="Add isolated=True to the task."
        )
    if memory_mb < LEAST_MEMORY_MB:
        raise InvalidTask(detail=f"{name}: memory_mb is {memory_mb}, and must be at least {LEAST_MEMORY_MB}")
