"""Where the answers of a fleet are kept: in a Redis, or for tests and single processes in memory.

Ages come from the lifetime that is left of a key, so nobody's clock but the
server's matters. What stands in Redis may be anything: whatever is not an
answer of ours, or is larger than an answer may be, is as good as nothing.
"""

import secrets
import threading
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Protocol

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from holdfast.jobs.clock import Clock
from holdfast.jobs.codec import LARGEST_BYTES, decode, digest
from holdfast.jobs.errors import InvalidJson, PayloadTooLarge
from holdfast.resilience.breaker.store import StoreLost

GIVE_BACK: Final = files("holdfast.resilience.cache").joinpath("give_back.lua").read_text(encoding="utf-8")
_LONGEST_HEAD: Final = 100
"""Bytes before the answer itself: its lifetime and its era."""
_FIELDS: Final = 3
_MILLI: Final = 1000
_FOR_EVER: Final = -1


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in the shared store."""

    text: bytes
    """Strict JSON."""
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the shared store says of a key."""

    kept: Kept | None
    era: str
    """Which answers count: another era's are as good as none, which is how all are invalidated at once."""


class CacheStore(Protocol):
    """Keeps the answers of all caches. Each method blocks, and raises StoreLost."""

    def find(self, cache: str, key: str) -> Found:
        """Return the answer under a key, if there is one, and the cache's present era."""
        ...

    def keep(self, cache: str, key: str, text: bytes, *, era: str, seconds: float) -> None:
        """Keep an answer that was made just now, for so long."""
        ...

    def remove(self, cache: str, key: str) -> None:
        """Forget an answer."""
        ...

    def begin_era(self, cache: str, *, seconds: float) -> None:
        """Invalidate all answers of a cache; `seconds` is how long the oldest of them would be kept."""
        ...

    def take(self, cache: str, key: str, *, seconds: float) -> str | None:
        """Take the lease of who makes a new answer; None: another one has it."""
        ...

    def give_back(self, cache: str, key: str, token: str, *, after_seconds: float = 0.0) -> None:
        """Give a lease back, now or a little later, if it is still ours."""
        ...


class MemoryCacheStore:
    """Answers of this process alone, unbounded: for tests, and to see what the one in Redis does."""

    def __init__(self, clock: Clock) -> None:
        """Judge by this clock's monotonic seconds."""
        self._clock = clock
        self._answers: dict[tuple[str, str], tuple[bytes, str, float, float]] = {}
        self._eras: dict[str, str] = {}
        self._leases: dict[tuple[str, str], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def find(self, cache: str, key: str) -> Found:
        """Return the answer under a key, if there is one, and the cache's present era."""
        now = self._clock.monotonic()
        with self._lock:
            era = self._eras.get(cache, "")
            text, of_era, made_at, ends_at = self._answers.get((cache, key), (b"", "", now, now))
            is_there = of_era == era and now < ends_at
            return Found(Kept(text, now - made_at) if is_there else None, era)

    def keep(self, cache: str, key: str, text: bytes, *, era: str, seconds: float) -> None:
        """Keep an answer that was made just now, for so long."""
        now = self._clock.monotonic()
        with self._lock:
            self._answers[cache, key] = (text, era, now, now + seconds)

    def remove(self, cache: str, key: str) -> None:
        """Forget an answer."""
        with self._lock:
            self._answers.pop((cache, key), None)

    def begin_era(self, cache: str, *, seconds: float) -> None:
        """Invalidate all answers of a cache; nothing is forgotten here, whatever `seconds` says."""
        del seconds
        with self._lock:
            self._eras[cache] = _token()

    def take(self, cache: str, key: str, *, seconds: float) -> str | None:
        """Take the lease of who makes a new answer; None: another one has it."""
        now = self._clock.monotonic()
        with self._lock:
            _, ends_at = self._leases.get((cache, key), ("", now))
            if now < ends_at:
                return None
            token = _token()
            self._leases[cache, key] = (token, now + seconds)
            return token

    def give_back(self, cache: str, key: str, token: str, *, after_seconds: float = 0.0) -> None:
        """Give a lease back, now or a little later, if it is still ours."""
        with self._lock:
            holder, _ = self._leases.get((cache, key), ("", 0.0))
            if holder == token:
                self._leases[cache, key] = (token, self._clock.monotonic() + after_seconds)


class RedisCacheStore:
    """Answers that all processes of a namespace share."""

    def __init__(self, client: Redis, *, namespace: str) -> None:
        """Take a client that gives up soon (`store_client`) and answers in bytes."""
        self._client: Any = client  # whose answers redis does not type
        self._prefix = f"{namespace}:cache:"
        self._give_back = client.register_script(GIVE_BACK)

    def find(self, cache: str, key: str) -> Found:
        """Return the answer under a key, if there is one, and the cache's present era."""
        name = self._key(cache, key)
        # No transaction, which a full server refuses. In this order one that is written meanwhile seems
        # older than it is, never younger, and an era that begins meanwhile counts.
        pipeline = self._client.pipeline(transaction=False)
        pipeline.pttl(name)
        # Of a text that is too large not more is read than shows it.
        pipeline.getrange(name, 0, LARGEST_BYTES + _LONGEST_HEAD)
        pipeline.get(self._era_key(cache))
        left, stored, era = _all_of(pipeline)
        present = era.decode(errors="replace") if isinstance(era, bytes) else ""
        return Found(_kept(stored, left, present), present)

    def keep(self, cache: str, key: str, text: bytes, *, era: str, seconds: float) -> None:
        """Keep an answer that was made just now, for so long."""
        lifetime = max(int(seconds * _MILLI), 1)
        self._do("set", self._key(cache, key), b"%d %s %s" % (lifetime, era.encode(), text), px=lifetime)

    def remove(self, cache: str, key: str) -> None:
        """Forget an answer."""
        self._do("delete", self._key(cache, key))

    def begin_era(self, cache: str, *, seconds: float) -> None:
        """Invalidate all answers of a cache; the era may be forgotten when the oldest of them would be."""
        self._do("set", self._era_key(cache), _token(), px=max(int(seconds * _MILLI), 1))

    def take(self, cache: str, key: str, *, seconds: float) -> str | None:
        """Take the lease of who makes a new answer; None: another one has it."""
        token, name = _token(), self._lease_key(cache, key)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(name, token, nx=True, px=max(int(seconds * _MILLI), 1))
        pipeline.pttl(name)
        is_ours, left = _all_of(pipeline)
        # A lease without an end is none of ours, and nobody would ever give it back.
        return token if is_ours or left == _FOR_EVER else None

    def give_back(self, cache: str, key: str, token: str, *, after_seconds: float = 0.0) -> None:
        """Give a lease back, now or a little later, if it is still ours."""
        try:
            self._give_back(keys=[self._lease_key(cache, key)], args=[token, int(after_seconds * _MILLI)])
        except ResponseError:
            return  # something else stands there by now
        except RedisError as error:
            raise _lost(error) from error

    def _key(self, cache: str, key: str) -> str:
        return f"{self._prefix}{{{cache}}}:{key}"

    def _lease_key(self, cache: str, key: str) -> str:
        return f"{self._key(cache, key)}:lease"

    def _era_key(self, cache: str) -> str:
        return f"{self._prefix}{{{cache}}}:era"

    def _do(self, verb: str, *arguments: object, **options: object) -> None:
        try:
            getattr(self._client, verb)(*arguments, **options)
        except RedisError as error:
            raise _lost(error) from error


def cache_key(name: str, version: int | str, parts: str, tenant: str) -> str:
    """Return the SHA-256 under which an answer is kept; `parts` is canonical JSON."""
    return digest("\n".join((digest(name), digest(str(version)), digest(tenant), parts)))


def _all_of(pipeline: Any) -> list[Any]:  # noqa: ANN401 -- redis types neither pipelines nor answers
    try:
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    except RedisError as error:
        raise _lost(error) from error
    for answer in answers:
        # A key of another type is somebody else's, or was written by hand. Any other error is the server's.
        if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
            raise _lost(answer) from answer
    return answers


def _kept(stored: object, left_milliseconds: object, era: str) -> Kept | None:
    if not isinstance(stored, bytes) or not isinstance(left_milliseconds, int):
        return None
    head = stored.split(b" ", _FIELDS - 1)
    if len(head) != _FIELDS or not head[0].isdigit() or len(head[0]) > _LONGEST_HEAD:
        return None
    lifetime, of_era, text = int(head[0]), head[1].decode(errors="replace"), head[2]
    if of_era != era or not 0 <= left_milliseconds <= lifetime:
        return None
    try:
        decode(text)
    except (InvalidJson, PayloadTooLarge):
        return None
    return Kept(text, (lifetime - left_milliseconds) / _MILLI)


def _token() -> str:
    return secrets.token_hex(16)


def _lost(error: Exception) -> StoreLost:
    return StoreLost(f"{type(error).__name__}: {error}")
