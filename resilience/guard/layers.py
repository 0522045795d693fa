"""What stands between the breaker and the call: rate limits and bulkheads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Call:
    """A call as limits see it."""

    upstream: str
    tenant: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


class Place(Protocol):
    """What a call was given by a layer, to be given back at its end."""

    def leave(self, result: object, error: BaseException | None) -> None:
        """Take note of how the call ended. Raises nothing, and does not block."""
        ...


class Layer(Protocol):
    """A limit that calls pass through."""

    def enter(self, call: Call) -> Place:
        """Let a call pass. Raises RateLimited or BulkheadFull; may block for a quarter of a second."""
        ...

    async def aenter(self, call: Call) -> Place:
        """Do the same on an event loop, without blocking it."""
        ...


class Layers:
    """The limits of one upstream, entered in their order."""

    def __init__(self, limits: Sequence[Layer]) -> None:
        """Enter these."""
        self._limits = tuple(limits)

    def __bool__(self) -> bool:
        return bool(self._limits)

    def enter(self, call: Call) -> list[Place]:
        """Enter all limits, or none."""
        places: list[Place] = []
        try:
            for limit in self._limits:
                places.append(limit.enter(call))  # noqa: PERF401 -- what was entered before a refusal is left
        except BaseException as error:
            leave(places, None, error)
            raise
        return places

    async def aenter(self, call: Call) -> list[Place]:
        """Do the same on an event loop."""
        places: list[Place] = []
        try:
            for limit in self._limits:
                places.append(await limit.aenter(call))  # noqa: PERF401 -- as above
        except BaseException as error:
            leave(places, None, error)
            raise
        return places


def leave(places: list[Place], result: object, error: BaseException | None) -> None:
    """Give back what a call was given, the last first."""
    for place in reversed(places):
        place.leave(result, error)
