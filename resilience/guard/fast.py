"""The fast path: a call to an upstream that is well, with nothing to wait for and nothing to limit.

Every line counts here, so a function is guarded by one closure that reads no
attribute twice and calls nothing of ours. Whatever is not plain goes the full
way. The breaker learns of the call as it does of any other: a number under
which it is under way, when it began, and how it ended.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from holdfast.resilience.breaker.breaker import Breaker, Judge
from holdfast.resilience.errand import CURRENT
from holdfast.resilience.guard.frame import FRAME, NOWHERE, Frame

P = ParamSpec("P")
T = TypeVar("T")


class FullWay(Protocol):
    """What a guard does where the fast path does not lead."""

    breaker: Breaker
    judge: Judge
    alone: Frame
    """Where a call runs that no other guard stands around."""

    def in_full(self, call: "functools.partial[T]") -> T:
        """Make a call through everything."""
        ...

    def again(self, failed: BaseException, call: "functools.partial[T]") -> T:
        """Make it again after a first attempt, or raise what that raised."""
        ...

    async def ain_full(self, call: "functools.partial[Awaitable[T]]") -> T:
        """Do the same on an event loop."""
        ...

    async def aagain(self, failed: BaseException, call: "functools.partial[Awaitable[T]]") -> T:
        """Do the same on an event loop."""
        ...


def fast_call(guard: FullWay, function: Callable[P, T]) -> Callable[P, T]:
    """Guard a plain function."""
    breaker, number_of, now, alone = (
        guard.breaker,
        guard.breaker.calls.__next__,
        guard.breaker.now,
        guard.alone,
    )
    frame, set_frame, reset_frame, errand = FRAME.get, FRAME.set, FRAME.reset, CURRENT.get

    def call(*arguments: P.args, **options: P.kwargs) -> T:
        """Call it, guarded."""
        era = breaker.era
        if not era.passes or frame() is not NOWHERE or errand() is not None:
            return guard.in_full(functools.partial(function, *arguments, **options))
        flights = era.flights
        number = number_of()
        flights[number] = now()
        token = set_frame(alone)
        try:
            result = function(*arguments, **options)
        except BaseException as error:  # noqa: BLE001 -- raised again, unless another attempt goes well
            reset_frame(token)
            breaker.count(era, guard.judge(error), flights.pop(number))
            return guard.again(error, functools.partial(function, *arguments, **options))
        reset_frame(token)
        era.outcomes.append(flights.pop(number))
        return result

    return call


def fast_acall(guard: FullWay, function: Callable[P, Awaitable[T]]) -> Callable[P, Any]:
    """Guard a coroutine function."""
    breaker, number_of, now, alone = (
        guard.breaker,
        guard.breaker.calls.__next__,
        guard.breaker.now,
        guard.alone,
    )
    frame, set_frame, reset_frame, errand = FRAME.get, FRAME.set, FRAME.reset, CURRENT.get

    async def call(*arguments: P.args, **options: P.kwargs) -> T:
        """Call it, guarded."""
        era = breaker.era
        if not era.passes or frame() is not NOWHERE or errand() is not None:
            return await guard.ain_full(functools.partial(function, *arguments, **options))
        flights = era.flights
        number = number_of()
        flights[number] = now()
        token = set_frame(alone)
        try:
            result = await function(*arguments, **options)
        except BaseException as error:  # noqa: BLE001 -- raised again, unless another attempt goes well
            reset_frame(token)
            breaker.count(era, guard.judge(error), flights.pop(number))
            return await guard.aagain(error, functools.partial(function, *arguments, **options))
        reset_frame(token)
        era.outcomes.append(flights.pop(number))
        return result

    return call
