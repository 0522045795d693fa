"""How fast an upstream is called: several limits at once, by all processes of a fleet together."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from holdfast.jobs.codec import digest
from holdfast.jobs.errors import RateLimited
from holdfast.jobs.events import ServiceFailed
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, is_upstream
from holdfast.resilience.fleet import FLEET, Fleet
from holdfast.resilience.limits.forks import forget_at_fork
from holdfast.resilience.limits.gcra import LONGEST_CLOSED, Correction, Demand
from holdfast.resilience.limits.headers import Told, told
from holdfast.resilience.limits.link import Link
from holdfast.resilience.limits.policy import LARGEST, MICRO, REQUESTS, RateLimit
from holdfast.resilience.limits.rate_store import MemoryRates, RedisRates
from holdfast.resilience.retry_after import retry_after_seconds

NOTHING: Final[Mapping[str, Any]] = {}
_LONGEST_KEY: Final = 64


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was decided, where, and what each unit cost there."""

    wait: int
    is_shared: bool
    times: int = 1


class Reservation:
    """What a call was charged, to be corrected when it is known what it took."""

    def __init__(
        self, limiter: "Limiter", answer: _Answer, weights: dict[str, int], keys: dict[str, str]
    ) -> None:
        """Remember it; `Limiter.acquire` makes these."""
        self._limiter = limiter
        self._answer = answer
        self._weights = weights
        self._keys = keys
        self._lock = threading.Lock()
        self._is_settled = False

    def settle(self, actual: Mapping[str, int]) -> None:
        """Charge what the call really took, or give back the rest; a name that is missing stays as it was.

        Counts once: a second one changes nothing. Raises nothing for numbers, and does not block.
        """
        with self._lock:
            was_settled, self._is_settled = self._is_settled, True
        if not was_settled:
            self._limiter.settle(self._answer, self._weights, actual, self._keys)

    def cancel(self) -> None:
        """Give back everything: the call was not made."""
        self.settle(dict.fromkeys(self._limiter.names, 0))


class Limiter:
    """The rate limits of one upstream. All methods may be called from any thread and any event loop.

    All limits let a call pass and are charged, or none is. With a Redis that the
    fleet shares (`sharing.share`), all processes count together; while that is
    lost, each keeps to its share, and while there is none, it is alone.
    """

    def __init__(
        self,
        upstream: str,
        limits: Sequence[RateLimit],
        *,
        processes: Callable[[], int] | None = None,
        fleet: Fleet = FLEET,
    ) -> None:
        """Limit the calls to an upstream of this name.

        `processes` says how many call it, as last known (0: one): while the
        shared store is lost each takes that part of the rate. If it is left out, a
        worker counts the live workers, and any other program takes one. Raises
        ValueError for two limits that differ in their counts only.
        """
        if not is_upstream(upstream):
            raise ValueError(f"an upstream's name must be 1 to {LONGEST_UPSTREAM} printable characters")
        kinds = {(limit.name, limit.period, limit.by) for limit in limits}
        if len(kinds) != len(limits):
            raise ValueError(f"{upstream!r}: two rate limits count the same in the same time")
        self.upstream = upstream
        self.limits = tuple(limits)
        self.names = frozenset(limit.name for limit in limits)
        self._fleet = fleet
        self._link = Link.of(fleet)
        self._alone = MemoryRates(fleet.clock)
        self._processes = processes or fleet.callers
        forget_at_fork(self)

    def acquire(self, weights: Mapping[str, int] = NOTHING, keys: Mapping[str, str] = NOTHING) -> Reservation:
        """Charge all limits for one call, or raise RateLimited with the seconds to wait.

        `weights` says how many units the call takes, as far as that is known
        before: one request and no tokens, if it says nothing. What no limit
        counts is passed over. A weight beyond a limit's burst passes when the
        limit is full, and what it took is waited for afterwards, ten times
        the limit's own time at most. `keys` names
        the tenant (or whatever a limit is kept by). Raises ValueError for a
        negative weight. May block for a quarter of a second, once.
        """
        known, named = self._weights(weights), dict(keys)
        demands = self._demands(known, named)
        answer = self._link.ask(
            RedisRates,
            lambda store: _Answer(store.take(self.upstream, demands), is_shared=True),
            lambda: self._judge_alone(demands),
        )
        return self._reservation(answer, known, named)

    async def aacquire(
        self, weights: Mapping[str, int] = NOTHING, keys: Mapping[str, str] = NOTHING
    ) -> Reservation:
        """Do the same on an event loop, without blocking it. Cancelled, it charges nothing."""
        known, named = self._weights(weights), dict(keys)
        demands = self._demands(known, named)
        answer = await self._link.aask(
            RedisRates,
            lambda store: _Answer(store.take(self.upstream, demands), is_shared=True),
            lambda: self._judge_alone(demands),
            lambda answer: self._give_back(answer, known, named),
        )
        return self._reservation(answer, known, named)

    def settle(
        self, answer: _Answer, weights: Mapping[str, int], actual: Mapping[str, int], keys: Mapping[str, str]
    ) -> None:
        """Correct what a call was charged: see `Reservation.settle`."""
        found = {
            self._key(limit, keys): self._difference(limit, weights, actual, answer.times)
            for limit in self.limits
            if limit.name in actual
        }
        corrections = {key: by for key, by in found.items() if by.change}
        if not corrections:
            return
        if answer.is_shared:
            self._link.tell(RedisRates, lambda store: store.correct(self.upstream, corrections))
        else:
            self._alone.correct(self.upstream, corrections)

    def learn(self, headers: object) -> None:
        """Correct the limits that are kept for all calls by what an answer's headers say.

        Of several that count the same, the one that has the provider's count is
        corrected; if none has, the one over the shortest time.
        Less is left than we think: we slow down; more: we stay careful, as calls
        of ours may be on their way. A `Retry-After` closes the upstream for all.
        Raises nothing, and does not block.
        """
        now = self._fleet.clock.now()
        corrections: dict[str, Correction] = {}
        for word in told(headers, now=now):
            limit = self._meant_by(word)
            if limit is not None and (floor := _floor(limit, word)) > 0:
                corrections[self._key(limit, NOTHING)] = Correction(0, floor, limit.longest)
        wait = retry_after_seconds(headers, now=now, also_resets=False) or 0.0
        self._correct(corrections, wait)

    def not_before(self, seconds: float) -> None:
        """Let no call pass for so many seconds (at most ten minutes). Raises nothing, and does not block."""
        self._correct({}, seconds)

    def tell_of(self, problem: Exception) -> None:
        """Tell that a correction failed in a function of users; by its kind only, as texts may be secret."""
        self._fleet.emit(ServiceFailed(service="rate limits", error=type(problem).__qualname__))

    def forget(self) -> None:
        """Begin anew in a forked child."""
        self._alone.forget()

    def _meant_by(self, word: Told) -> RateLimit | None:
        """Return the limit that a provider speaks of: ten calls left of a minute are not ten of a day.

        The one of the count that it names; else the one over the shortest time,
        where a wrong guess is made good the soonest.
        """
        own = [one for one in self.limits if one.name == word.name and not one.by]
        named = [one for one in own if one.count == word.most]
        return min(named or own, key=lambda one: one.period, default=None)

    def _correct(self, corrections: Mapping[str, Correction], closed_seconds: float) -> None:
        closed = min(int(max(closed_seconds, 0.0) * MICRO), LONGEST_CLOSED)
        if corrections or closed:
            # Here, too: should the store be lost in the meantime, this is still known.
            self._alone.correct(self.upstream, corrections, closed)
            self._link.tell(RedisRates, lambda store: store.correct(self.upstream, corrections, closed))

    def _judge_alone(self, demands: Mapping[str, Demand]) -> _Answer:
        times = max(self._processes(), 1) if self._link.is_shared else 1
        shares = {name: replace(of, cost=of.cost * times) for name, of in demands.items()}
        return _Answer(self._alone.take(self.upstream, shares), is_shared=False, times=times)

    def _reservation(self, answer: _Answer, weights: dict[str, int], keys: dict[str, str]) -> Reservation:
        if answer.wait > 0:
            raise RateLimited(retry_after_seconds=answer.wait / MICRO, detail=f"of {self.upstream}")
        return Reservation(self, answer, weights, keys)

    def _give_back(self, answer: _Answer, weights: dict[str, int], keys: dict[str, str]) -> None:
        if answer.wait == 0:
            Reservation(self, answer, weights, keys).cancel()

    def _weights(self, weights: Mapping[str, int]) -> dict[str, int]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("a call cannot weigh less than nothing")
        usual = {name: int(name == REQUESTS) for name in self.names}
        return {name: min(int(weights.get(name, usual[name])), LARGEST) for name in usual}

    def _demands(self, weights: Mapping[str, int], keys: Mapping[str, str]) -> dict[str, Demand]:
        return {
            self._key(limit, keys): Demand(limit.cost(weights[limit.name]), limit.depth, limit.longest)
            for limit in self.limits
            if weights[limit.name] > 0
        }

    def _difference(
        self, limit: RateLimit, weights: Mapping[str, int], actual: Mapping[str, int], times: int
    ) -> Correction:
        took = limit.cost(min(max(actual[limit.name], 0), LARGEST)) * times
        return Correction(took - limit.cost(weights[limit.name]) * times, 0, limit.longest)

    def _key(self, limit: RateLimit, keys: Mapping[str, str]) -> str:
        start = f"{limit.name}:{limit.period}"
        if not limit.by:
            return start
        value = keys.get(limit.by, "")
        return f"{start}:{limit.by}:{value if len(value) <= _LONGEST_KEY else digest(value)}"


def _floor(limit: RateLimit, word: Told) -> int:
    """Return how full the limit is at most, as the instant from now at which it is full."""
    if word.remaining >= limit.at_once:
        return 0
    if word.remaining > 0:
        return limit.depth - limit.cost(word.remaining)
    return limit.depth + max(int(word.next_in_seconds * MICRO) - limit.cost(1), 0)
