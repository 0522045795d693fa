"""One attempt of a call that passed everything, and is told how it ended."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from holdfast.resilience.breaker.breaker import Judge, Permit
from holdfast.resilience.breaker.verdict import SUCCESS, Verdict
from holdfast.resilience.chaos import Strike
from holdfast.resilience.guard.layers import Place, leave

T = TypeVar("T")


class Attempt:
    """One attempt that passed everything, until it is told how it ended; a second end does nothing."""

    __slots__ = ("_judge", "_permit", "_places", "strike", "until")

    def __init__(
        self,
        permit: Permit | None,
        places: list[Place],
        judge: Judge,
        until: float | None,
        strike: Strike | None = None,
    ) -> None:
        """Hold what was entered; no permit: it is part of an attempt around it, which counts.

        `until` is when its time is over, in monotonic seconds; `strike` what chaos does to it.
        """
        self._permit = permit
        self._places = places
        self._judge = judge
        self.until = until
        self.strike = strike

    def struck(self, call: Callable[[], T], now: float) -> Callable[[], T]:
        """Return the call with what chaos does to it in front; `now` is in monotonic seconds."""
        if self.strike is None:
            return call
        return partial(_struck, self.strike, None if self.until is None else self.until - now, call)

    def astruck(self, call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Do the same for a coroutine function."""
        return call if self.strike is None else partial(_astruck, self.strike, call)

    def has_begun_to_answer(self) -> None:
        """Tell that a stream's first item came."""
        if self._permit is not None:
            self._permit.has_begun_to_answer()

    def succeed(self, result: object = None) -> None:
        """End well."""
        self._end(SUCCESS, result, None)

    def fail(self, error: BaseException) -> None:
        """End with what was raised."""
        self._end(self._judge(error), None, error)

    def end(self, verdict: Verdict) -> None:
        """End with a verdict."""
        self._end(verdict, None, None)

    def _end(self, verdict: Verdict, result: object, error: BaseException | None) -> None:
        places, self._places = self._places, []
        leave(places, result, error)
        if self._permit is not None:
            self._permit.end(verdict)


def _struck(strike: Strike, seconds_left: float | None, call: Callable[[], T]) -> T:
    strike.apply(seconds_left)
    return call()


async def _astruck(strike: Strike, call: Callable[[], Awaitable[T]]) -> T:
    await strike.aapply()
    return await call()
