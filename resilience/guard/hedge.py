"""A second call where the first one is late."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from holdfast.resilience.guard.retry_budget import RetryBudget

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hedge:
    """When a second call is made: the first answer counts, and the other call is cancelled.

    For calls that may be made twice, and for `async` functions only. It spends
    the upstream's retry budget, and is not made where that is empty. J. Dean and
    L. Barroso, "The Tail at Scale", 2013.
    """

    after_seconds: float
    """Longer than most calls take: the 95th percentile is a good start."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not self.after_seconds > 0:
            raise ValueError("Hedge.after_seconds must be greater than 0")


async def hedged(hedge: Hedge, budget: RetryBudget, attempt: Callable[[], Awaitable[T]]) -> T:
    """Make an attempt, and a second one if the first is late. If both fail, the first failure is raised."""
    first = asyncio.ensure_future(attempt())
    calls = [first]
    has_spent = False
    try:
        await asyncio.wait(calls, timeout=hedge.after_seconds)
        if not first.done():
            has_spent = budget.try_to_spend()
            if has_spent:
                calls.append(asyncio.ensure_future(attempt()))
        return (await _first_that_succeeds(calls)).result()
    finally:
        for call in calls:
            call.cancel()
        # What was cancelled gives its permits back before anybody goes on.
        await asyncio.gather(*calls, return_exceptions=True)
        if has_spent:
            budget.finish()


async def _first_that_succeeds(calls: "Sequence[asyncio.Future[T]]") -> "asyncio.Future[T]":
    waiting, first_failed = set(calls), None
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for call in (one for one in calls if one in done):
            if not call.cancelled() and call.exception() is None:
                return call
            first_failed = first_failed or call
    return first_failed or calls[0]
