"""The part of a handler's context that is about children."""

from collections.abc import Iterable
from typing import Any, Literal, ParamSpec, TypeVar, overload

from holdfast.jobs.children import FailurePolicy
from holdfast.jobs.errors import InvalidOption
from holdfast.tasks.arguments import Call
from holdfast.tasks.bound import BoundTask
from holdfast.tasks.children import Child, ChildOutcome, ChildrenPort, Planner, answer, carry_out

P = ParamSpec("P")
R = TypeVar("R")
R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")
R4 = TypeVar("R4")
Policy = Literal["all", "any", "collect"]


class Parent:
    """Starts children and waits for them; `TaskContext` is one.

    While it waits, its job is parked: no slot, no attempt. When the wait is over
    the handler **begins again from its beginning**, asks for the same children
    and gets their results at once. So what comes before a wait must be harmless
    to repeat, and plan the same each time: PlanChanged otherwise. A parent that
    is cancelled or quarantined takes its open children with it, and no child
    outlives its parent's deadline.
    """

    _planner: Planner
    _family: ChildrenPort

    async def spawn(self, task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Child[R]:
        """Start one child, once, however often the handler begins again. It runs on if nobody waits for it.

        Raises InvalidArguments, QueueFull, PlanChanged (another call than in an attempt before).
        """
        plan = self._planner.spawn(task, task.spec.signature.bind(*args, **kwargs))
        await self._family.on_children(lambda children: children.plan(plan))
        return Child(plan.jobs[0].id, plan.name, task.spec.result)

    def spawn_sync(self, task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Child[R]:
        """Do the same in a `def` handler."""
        plan = self._planner.spawn(task, task.spec.signature.bind(*args, **kwargs))
        self._family.on_children_sync(lambda children: children.plan(plan))
        return Child(plan.jobs[0].id, plan.name, task.spec.result)

    @overload
    async def map(
        self, task: BoundTask[..., R], calls: Iterable[Call], *, name: str | None = None
    ) -> list[R]: ...
    @overload
    async def map(
        self,
        task: BoundTask[..., R],
        calls: Iterable[Call],
        *,
        on_failure: Literal["all"],
        name: str | None = None,
    ) -> list[R]: ...
    @overload
    async def map(
        self,
        task: BoundTask[..., R],
        calls: Iterable[Call],
        *,
        on_failure: Literal["any"],
        name: str | None = None,
    ) -> R: ...
    @overload
    async def map(
        self,
        task: BoundTask[..., R],
        calls: Iterable[Call],
        *,
        on_failure: Literal["collect"],
        name: str | None = None,
    ) -> list[ChildOutcome[R]]: ...
    async def map(
        self,
        task: BoundTask[..., Any],
        calls: Iterable[Call],
        *,
        on_failure: Policy = "all",
        name: str | None = None,
    ) -> Any:
        """Start a child for each call, all in one transaction, and return their results in that order.

        `on_failure`: `all` (the first child that ends without a result ends the wait with ChildFailed, and
        the others are cancelled), `any` (returns the first result, and cancels the others), `collect`
        (returns a ChildOutcome for each). `name` keeps the children when a new version of the handler has
        other waits before this one. Raises what `spawn` raises.
        """
        plan = self._planner.map(task, calls, FailurePolicy(on_failure), name)
        if not plan.jobs:
            return _of_nothing(on_failure)
        ends = await self._family.on_children(carry_out(plan))
        return answer(plan, ends, {plan.name: task.spec.result})

    def map_sync(
        self,
        task: BoundTask[..., Any],
        calls: Iterable[Call],
        *,
        on_failure: Policy = "all",
        name: str | None = None,
    ) -> Any:  # noqa: ANN401  as `map`, whose overloads say which
        """Do the same in a `def` handler."""
        plan = self._planner.map(task, calls, FailurePolicy(on_failure), name)
        if not plan.jobs:
            return _of_nothing(on_failure)
        return answer(plan, self._family.on_children_sync(carry_out(plan)), {plan.name: task.spec.result})

    @overload
    async def gather(self, first: Child[R1], second: Child[R2], /) -> tuple[R1, R2]: ...
    @overload
    async def gather(self, first: Child[R1], second: Child[R2], third: Child[R3], /) -> tuple[R1, R2, R3]: ...
    @overload
    async def gather(
        self, first: Child[R1], second: Child[R2], third: Child[R3], fourth: Child[R4], /
    ) -> tuple[R1, R2, R3, R4]: ...
    @overload
    async def gather(self, *children: Child[R]) -> tuple[R, ...]: ...
    @overload
    async def gather(self, *children: Child[R], on_failure: Literal["all"]) -> tuple[R, ...]: ...
    @overload
    async def gather(self, *children: Child[R], on_failure: Literal["any"]) -> R: ...
    @overload
    async def gather(
        self, *children: Child[R], on_failure: Literal["collect"]
    ) -> tuple[ChildOutcome[R], ...]: ...
    async def gather(self, *children: Child[Any], on_failure: Policy = "all") -> Any:
        """Wait for children that were started before; `on_failure` as in `map`. Raises ChildFailed."""
        if not children:
            return _as_tuple(_of_nothing(on_failure))
        plan = self._planner.gather(children, FailurePolicy(on_failure))
        ends = await self._family.on_children(carry_out(plan))
        return _as_tuple(answer(plan, ends, {child.group: child.codec for child in children}), on_failure)

    def gather_sync(self, *children: Child[Any], on_failure: Policy = "all") -> Any:  # noqa: ANN401  as `gather`
        """Do the same in a `def` handler."""
        if not children:
            return _as_tuple(_of_nothing(on_failure))
        plan = self._planner.gather(children, FailurePolicy(on_failure))
        ends = self._family.on_children_sync(carry_out(plan))
        return _as_tuple(answer(plan, ends, {child.group: child.codec for child in children}), on_failure)


def _of_nothing(on_failure: Policy) -> list[Any]:
    if on_failure == "any":
        raise InvalidOption(
            detail="there is no first result of no children", hint="Pass at least one, or use `collect`."
        )
    return []


def _as_tuple(value: Any, on_failure: Policy = "all") -> Any:  # noqa: ANN401  as `gather`
    return value if on_failure == "any" else tuple(value)
