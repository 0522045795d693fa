"""Bulkheads as a layer of a guard."""

from typing import Protocol

from holdfast.jobs.errors import AttemptTimeout
from holdfast.resilience.breaker.verdict import Ending
from holdfast.resilience.guard.layers import Call
from holdfast.resilience.verdicts import verdict_of


class Held(Protocol):
    """A place, to be given back."""

    def release(self, *, is_well: bool | None = None) -> None:
        """Give it back; `is_well` False: the upstream pushed back, or took too long."""
        ...


class Places(Protocol):
    """A bulkhead, of a process or of the fleet."""

    def acquire(self) -> Held:
        """Take a place. Raises BulkheadFull."""
        ...

    async def aacquire(self) -> Held:
        """Do the same on an event loop."""
        ...


class BulkheadLayer:
    """Lets each call of a guard hold a place for as long as it runs."""

    def __init__(self, bulkhead: Places) -> None:
        """Take places here."""
        self.bulkhead = bulkhead

    def enter(self, call: Call) -> "BulkheadPlace":  # noqa: ARG002 -- a place is a place, whoever calls
        """Take a place. Raises BulkheadFull."""
        return BulkheadPlace(self.bulkhead.acquire())

    async def aenter(self, call: Call) -> "BulkheadPlace":  # noqa: ARG002 -- as above
        """Do the same on an event loop."""
        return BulkheadPlace(await self.bulkhead.aacquire())


class BulkheadPlace:
    """The place of one call."""

    def __init__(self, held: Held) -> None:
        """Hold it."""
        self._held = held

    def leave(self, result: object, error: BaseException | None) -> None:  # noqa: ARG002 -- the error says all
        """Give it back. Raises nothing, and does not block."""
        self._held.release(is_well=True if error is None else _is_well(error))


def _is_well(error: BaseException) -> bool | None:
    """Say what an error means for how much the upstream can take."""
    if isinstance(error, AttemptTimeout | TimeoutError):
        return False
    match verdict_of(error).ending:
        case Ending.PUSHED:
            return False
        case Ending.OK:
            return True
        case _:
            return None
