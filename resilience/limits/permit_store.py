"""Where the permits of bulkheads are kept: in this process, or in a Redis that a fleet shares."""

import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from holdfast.jobs.clock import Clock
from holdfast.resilience.breaker.store import StoreLost
from holdfast.resilience.limits.leases import Leases, lend, renew
from holdfast.resilience.limits.rate_store import hash_tag

_MILLI: Final = 1000
_HERE: Final = files("holdfast.resilience.limits")
LEND: Final = _HERE.joinpath("take_permit.lua").read_text(encoding="utf-8")
RENEW: Final = _HERE.joinpath("renew_permits.lua").read_text(encoding="utf-8")


class PermitStore(Protocol):
    """Lends permits for a time. Times are milliseconds; every method may raise StoreLost."""

    def take(self, name: str, token: str, *, most: int, lease: int) -> int:
        """Lend one of so many permits; return 0, or in how long the first of the others ends by itself."""
        ...

    def renew(self, name: str, tokens: Sequence[str], *, most: int, lease: int) -> list[bool]:
        """Renew those that are held; False: it is lost, its place is another's."""
        ...

    def free(self, name: str, token: str) -> None:
        """Give one back; one that is not known is not missed."""
        ...


class MemoryPermits:
    """Permits of this process alone."""

    def __init__(self, clock: Clock) -> None:
        """Judge by this clock's monotonic seconds."""
        self._clock = clock
        self._leases: dict[str, Leases] = {}
        self._lock = threading.Lock()

    def take(self, name: str, token: str, *, most: int, lease: int) -> int:
        """Do what the script of a shared store does."""
        with self._lock:
            found = self._leases.get(name, {})
            wait, self._leases[name] = lend(found, token, most=most, lease=lease, now=self._now())
            return wait

    def renew(self, name: str, tokens: Sequence[str], *, most: int, lease: int) -> list[bool]:
        """Do what the script of a shared store does."""
        with self._lock:
            found = self._leases.get(name, {})
            kept, self._leases[name] = renew(found, tokens, most=most, lease=lease, now=self._now())
            return kept

    def free(self, name: str, token: str) -> None:
        """Do what the shared store does."""
        with self._lock:
            self._leases.get(name, {}).pop(token, None)

    def forget(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.Lock()
        self._leases.clear()

    def _now(self) -> int:
        return int(self._clock.monotonic() * _MILLI)


class RedisPermits:
    """Permits that all processes of a namespace share. Blocks for a quarter of a second at most."""

    def __init__(self, client: Redis, *, namespace: str) -> None:
        """Take a client that gives up soon, and answers in bytes."""
        self._client: Any = client  # whose answers redis does not type
        self._prefix = f"{namespace}:bulkhead:"
        self._lend: Any = client.register_script(LEND)
        self._renew: Any = client.register_script(RENEW)

    def take(self, name: str, token: str, *, most: int, lease: int) -> int:
        """Let the script decide, on the server's clock."""
        try:
            return int(self._lend(keys=[self._key(name)], args=[token, most, lease]))
        except (RedisError, ValueError, TypeError) as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error

    def renew(self, name: str, tokens: Sequence[str], *, most: int, lease: int) -> list[bool]:
        """Let the script do it, on the server's clock."""
        try:
            return [bool(kept) for kept in self._renew(keys=[self._key(name)], args=[most, lease, *tokens])]
        except (RedisError, ValueError, TypeError) as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error

    def free(self, name: str, token: str) -> None:
        """Take it out of the set."""
        try:
            self._client.zrem(self._key(name), token)
        except RedisError as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error

    def _key(self, name: str) -> str:
        return f"{self._prefix}{{{hash_tag(name)}}}"
