"""Where rate limits are kept: in this process, or in a Redis that a fleet shares."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from holdfast.jobs.clock import Clock
from holdfast.resilience.breaker.store import StoreLost
from holdfast.resilience.limits.gcra import Bucket, Correction, Demand, correct, opens_at, take

MOST_BUCKETS: Final = 10_000
_MICRO: Final = 1_000_000
_HERE: Final = files("holdfast.resilience.limits")
TAKE: Final = _HERE.joinpath("take.lua").read_text(encoding="utf-8")
CORRECT: Final = _HERE.joinpath("correct.lua").read_text(encoding="utf-8")


class RateStore(Protocol):
    """Keeps the limits of upstreams, each under a name of the caller's."""

    def take(self, upstream: str, demands: Mapping[str, Demand]) -> int:
        """Charge all limits, or none; return the microseconds to wait, 0 if it passes. Raises StoreLost."""
        ...

    def correct(self, upstream: str, corrections: Mapping[str, Correction], closed_for: int = 0) -> None:
        """Make known what is known better; the upstream wants no call for so many microseconds.

        Raises StoreLost.
        """
        ...


class MemoryRates:
    """Limits of this process alone, at most ten thousand: the one that was asked for last goes last.

    A limit that had to go begins anew with a full burst.
    """

    def __init__(self, clock: Clock, *, most: int = MOST_BUCKETS) -> None:
        """Judge by this clock's monotonic seconds."""
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()
        self._closed: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, upstream: str, demands: Mapping[str, Demand]) -> int:
        """Do what the script of a shared store does."""
        with self._lock:
            found, now = [self._buckets.get((upstream, name), Bucket()) for name in demands], self._now()
            if upstream in self._closed:
                self._closed[upstream] = opens_at(self._closed[upstream], now)
            wait, after = take(found, list(demands.values()), self._closed.get(upstream, 0), now)
            for name, bucket in zip(demands, after, strict=True):
                self._keep((upstream, name), bucket)
            return wait

    def correct(self, upstream: str, corrections: Mapping[str, Correction], closed_for: int = 0) -> None:
        """Do what the script of a shared store does."""
        with self._lock:
            now = self._now()
            for name, by in corrections.items():
                self._keep((upstream, name), correct(self._buckets.get((upstream, name), Bucket()), by, now))
            if closed_for > 0:
                self._closed[upstream] = max(self._closed.pop(upstream, 0), now + closed_for)
                if len(self._closed) > self._most:
                    self._closed.popitem(last=False)

    def forget(self) -> None:
        """Begin anew in a forked child: what the parent did is the parent's."""
        self._lock = threading.Lock()
        self._buckets.clear()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield upstream and name of each limit, the one that was asked for last at the end."""
        with self._lock:
            return iter(list(self._buckets))

    def _keep(self, key: tuple[str, str], bucket: Bucket) -> None:
        self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def _now(self) -> int:
        # From 1 on: 0 means never.
        return 1 + int(self._clock.monotonic() * _MICRO)


class RedisRates:
    """Limits that all processes of a namespace share. Blocks for a quarter of a second at most."""

    def __init__(self, client: Redis, *, namespace: str) -> None:
        """Take a client that gives up soon, and answers in bytes."""
        self._prefix = f"{namespace}:rate:"
        self._take: Any = client.register_script(TAKE)  # whose answers redis does not type
        self._correct: Any = client.register_script(CORRECT)

    def take(self, upstream: str, demands: Mapping[str, Demand]) -> int:
        """Let the script decide, on the server's clock."""
        arguments = [number for of in demands.values() for number in (of.cost, of.depth, of.longest)]
        try:
            return int(self._take(keys=self._keys(upstream, demands), args=arguments))
        except (RedisError, ValueError, TypeError) as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error

    def correct(self, upstream: str, corrections: Mapping[str, Correction], closed_for: int = 0) -> None:
        """Let the script do it, on the server's clock."""
        arguments = [number for by in corrections.values() for number in (by.change, by.floor, by.longest)]
        try:
            self._correct(keys=self._keys(upstream, corrections), args=[closed_for, *arguments])
        except RedisError as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error

    def _keys(self, upstream: str, names: Mapping[str, object]) -> list[str]:
        """Name the keys of one call: the hash tag puts all that belong to an upstream in one slot."""
        start = f"{self._prefix}{{{hash_tag(upstream)}}}"
        return [start, *(f"{start}:{name}" for name in names)]


def hash_tag(name: str) -> str:
    """Write a name so that it can stand between the braces of a hash tag."""
    return name.replace("%", "%25").replace("}", "%7D")
