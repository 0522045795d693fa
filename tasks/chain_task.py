"""The task that runs a chain: each link is a child, started when the one before has its result."""

from dataclasses import replace
from typing import Any, Final

import pydantic

from holdfast.jobs.errors import InvalidArguments
from holdfast.tasks.bound import CHAIN, BoundTask
from holdfast.tasks.context import TaskContext
from holdfast.tasks.options import Options
from holdfast.tasks.registry import registry
from holdfast.tasks.spec import TaskSpec
from holdfast.tasks.task import task


class LinkOptions(pydantic.BaseModel):
    """What a link says about its job; the rest comes from the chain."""

    model_config = pydantic.ConfigDict(extra="forbid")
    queue: str | None = None
    priority: int | None = None
    soft_timeout_seconds: float | None = None
    hard_timeout_seconds: float | None = None


class Link(pydantic.BaseModel):
    """One task of a chain, with those of its arguments that are known when the chain is enqueued."""

    model_config = pydantic.ConfigDict(extra="forbid")
    task: str
    arguments: dict[str, Any] = {}
    options: LinkOptions = LinkOptions()


@task(name=CHAIN)
async def chain(ctx: TaskContext, links: list[Link]) -> Any:  # noqa: ANN401 -- what the last link returns
    """Run tasks one after the other, each with the result of the one before as its first argument."""
    value: Any = None
    for number, link in enumerate(links):
        spec = registry.require(link.task).spec
        arguments = link.arguments if number == 0 else {_first_of(spec): value, **link.arguments}
        options = replace(Options(), **link.options.model_dump(exclude_none=True))
        bound: BoundTask[..., Any] = BoundTask(spec, options)
        (value,) = await ctx.map(bound, [arguments], name=f"link {number + 1}")
    return value


def _first_of(spec: TaskSpec) -> str:
    first: Final = next(iter(spec.signature.signature.parameters), None)
    if first is None:
        raise InvalidArguments(detail=f"{spec.name} has no parameter for the result before it")
    return first
