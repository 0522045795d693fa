"""Rate limits as a layer of a guard."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.jobs.errors import RejectedError
from holdfast.resilience.guard.layers import Call
from holdfast.resilience.limits.limiter import NOTHING, Limiter, Reservation

Weigh = Callable[[Call], Mapping[str, int]]
Settle = Callable[[Any], Mapping[str, int] | None]
"""From the result to what the call really took; None: it does not say."""
Learn = Callable[[Any], object]
"""From the result, or from the error, to the answer's headers; None: there are none."""


def _one_request(_: Call) -> Mapping[str, int]:
    return NOTHING


def _tenant(call: Call) -> Mapping[str, str]:
    return {"tenant": call.tenant}


def _nothing(_: object) -> None:
    return None


class RateLayer:
    """Charges each call of a guard before it is made, and corrects that afterwards."""

    def __init__(
        self,
        limiter: Limiter,
        *,
        weigh: Weigh = _one_request,
        keys: Callable[[Call], Mapping[str, str]] = _tenant,
        settle: Settle = _nothing,
        learn: Learn = _nothing,
    ) -> None:
        """Ask this limiter; `weigh` estimates, and what it raises is raised instead of the call."""
        self.limiter = limiter
        self._weigh = weigh
        self._keys = keys
        self._settle = settle
        self._learn = learn

    def enter(self, call: Call) -> "RatePlace":
        """Charge a call. Raises RateLimited."""
        return self._place(self.limiter.acquire(self._weigh(call), self._keys(call)))

    async def aenter(self, call: Call) -> "RatePlace":
        """Do the same on an event loop."""
        return self._place(await self.limiter.aacquire(self._weigh(call), self._keys(call)))

    def _place(self, reservation: Reservation) -> "RatePlace":
        return RatePlace(self.limiter, reservation, self._settle, self._learn)


class RatePlace:
    """What one call was charged."""

    def __init__(self, limiter: Limiter, reservation: Reservation, settle: Settle, learn: Learn) -> None:
        """Settle by these, when the call has ended."""
        self._limiter = limiter
        self._reservation = reservation
        self._settle = settle
        self._learn = learn

    def leave(self, result: object, error: BaseException | None) -> None:
        """Correct the charge. Raises nothing, and does not block."""
        if isinstance(error, RejectedError) and not error.refused_by:
            # Not signed by a guard: a layer further in refused, so the call was not made.
            self._reservation.cancel()
            return
        try:
            headers = self._learn(result if error is None else error)
            if headers is not None:
                self._limiter.learn(headers)
            actual = self._settle(result) if error is None else None
            if actual is not None:
                self._reservation.settle(actual)
        except Exception as problem:  # noqa: BLE001 -- functions of users: the call has ended well, and stays so
            self._limiter.tell_of(problem)
