"""Where circuits are kept: in this process, or in a Redis that a fleet shares."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final, Protocol

from redis import Redis
from redis.exceptions import RedisError

from holdfast.jobs.clock import Clock
from holdfast.resilience.breaker.circuit import Circuit
from holdfast.resilience.breaker.machine import exchange
from holdfast.resilience.breaker.message import Message, Reply
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.breaker.wire import as_json, reply_of_json

MOST_CIRCUITS: Final = 10_000
KEPT_SECONDS: Final = 3600.0
"""A circuit in Redis of which nothing was heard for so long is forgotten: it was closed, or nobody calls."""
SCRIPT: Final = files("holdfast.resilience.breaker").joinpath("exchange.lua").read_text(encoding="utf-8")


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
        self._client = client
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
