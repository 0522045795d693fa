"""Where circuits are kept: in this process, or in a Redis that a fleet shares."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from holdfast.jobs.clock import Clock
from holdfast.resilience.breaker.circuit import Circuit
from holdfast.resilience.breaker.machine import exchange
from holdfast.resilience.breaker.message import Message, Reply
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.breaker.wire import as_json, circuit_of_json, reply_of_json

MOST_CIRCUITS: Final = 10_000
PATIENCE_SECONDS: Final = 0.25
"""A store that takes longer is lost."""
KEPT_SECONDS: Final = 3600.0
"""A circuit in Redis of which nothing was heard for so long is forgotten: it was closed, or nobody calls.

One with an operator's order stays until that ends: all processes may be gone for a night.
"""
SCRIPT: Final = files("holdfast.resilience.breaker").joinpath("exchange.lua").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class SharedRedis:
    """Where processes share what they know of upstreams."""

    url: str
    """As `store_client` takes it."""
    namespace: str
    """Stands before every key."""


def store_client(url: str) -> Redis:
    """Make a client that gives up after a quarter of a second, and tries nothing twice."""
    redis: Any = Redis  # which types none of its options
    client: Redis = redis.from_url(
        url,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    return client


class BreakerStore(Protocol):
    """Keeps circuits, and lets one exchange at a time change each."""

    def exchange(self, name: str, message: Message, terms: Terms) -> Reply:
        """Say something about an upstream, and hear what is true. Raises StoreLost."""
        ...


class StoreLost(Exception):
    """The shared store cannot be reached. No caller hears of it: each process judges for itself."""


class MemoryStore:
    """Circuits of this process alone, at most ten thousand: the one that was asked for last goes last."""

    def __init__(self, clock: Clock, *, most: int = MOST_CIRCUITS) -> None:
        """Judge by this clock's monotonic seconds."""
        self._clock = clock
        self._most = most
        self._circuits: OrderedDict[str, Circuit] = OrderedDict()
        self._lock = threading.Lock()

    def exchange(self, name: str, message: Message, terms: Terms) -> Reply:
        """Do what the script of a shared store does."""
        with self._lock:
            circuit = self._circuits.pop(name, None) or Circuit()
            # From 1 on: 0 means never.
            now = 1 + int(self._clock.monotonic() * 1000)
            self._circuits[name], reply = exchange(circuit, message, now, terms)
            if len(self._circuits) > self._most:
                self._circuits.popitem(last=False)
            return reply

    def __iter__(self) -> Iterator[str]:
        """Yield the names, the one that was asked for last at the end."""
        with self._lock:
            return iter(list(self._circuits))


class RedisStore:
    """Circuits that all processes of a namespace share. Blocks: not for the thread of a caller."""

    def __init__(self, client: Redis, *, namespace: str) -> None:
        """Take a client that gives up soon (a quarter of a second, no retries) and answers in bytes."""
        self._client: Any = client  # whose answers redis does not type
        self._prefix = f"{namespace}:breaker:"
        self._script = client.register_script(SCRIPT)

    @property
    def channel(self) -> str:
        """On which each turn is told."""
        return f"{self._prefix}turns"

    def exchange(self, name: str, message: Message, terms: Terms) -> Reply:
        """Let the script decide, on the server's clock."""
        key = f"{self._prefix}{{{name}}}"
        kept = int(KEPT_SECONDS * 1000)
        arguments: list[Any] = [as_json(message), as_json(terms), self.channel, kept, name]
        try:
            return reply_of_json(self._script(keys=[key], args=arguments))
        except (RedisError, ValueError, KeyError, TypeError) as error:
            # A key that somebody wrote by hand, or a server that answers nonsense, is as good as none.
            raise StoreLost(f"{type(error).__name__}: {error}") from error

    def names(self) -> list[str]:
        """Name the upstreams that have a circuit, in order. Raises StoreLost."""
        start = f"{self._prefix}{{"
        try:
            found: list[bytes] = list(self._client.scan_iter(match=f"{_literally(start)}*"))
        except RedisError as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error
        names = (key.decode(errors="replace").removeprefix(start).removesuffix("}") for key in found)
        return sorted(set(names))

    def read(self, name: str) -> Circuit | None:
        """Read a circuit as it stands, without letting time pass in it. Raises StoreLost."""
        try:
            found = self._client.get(f"{self._prefix}{{{name}}}")
            return None if found is None else circuit_of_json(found)
        except (RedisError, ValueError, KeyError, TypeError) as error:
            raise StoreLost(f"{type(error).__name__}: {error}") from error


def _literally(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in text)
