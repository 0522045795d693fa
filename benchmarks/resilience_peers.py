"""The breakers that we are measured beside, from `benchmarks/peers.lock` in a folder of their own."""

import datetime as dt
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEERS = Path(sys.prefix) / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them."""

    name: str
    is_async: bool
    closed: Callable[[Callable[..., Any]], Callable[[], Any]]
    """Guards a function with a breaker that lets all pass."""
    refused: Callable[[], Callable[[], Any]]
    """Makes a call that is refused."""


def peers() -> list[Peer]:
    """Return those that are installed; say which are not."""
    if PEERS.exists():
        sys.path.append(str(PEERS))
    found = []
    for make in (_pybreaker, _circuitbreaker, _purgatory, _apurgatory, _aiobreaker):
        try:
            found.append(make())
        except ModuleNotFoundError as error:
            print(f"left out: {error.name} (make bench-resilience installs it)")
    return found


def _broken() -> None:
    raise ConnectionError


def _refusal(call: Callable[[], Any], error: type[BaseException]) -> Callable[[], None]:
    def refused() -> None:
        try:
            call()
        except error:
            return
        raise AssertionError("it was not refused")

    return refused


def _opened(call: Callable[[], Any], failures: int) -> None:
    for _ in range(failures):
        try:
            call()
        except Exception:  # noqa: BLE001, S112 -- each has an error of its own
            continue


def _pybreaker() -> Peer:
    module = importlib.import_module("pybreaker")

    def refused() -> Callable[[], None]:
        guarded = module.CircuitBreaker(fail_max=1, reset_timeout=3600)(_broken)
        _opened(guarded, 2)
        return _refusal(guarded, module.CircuitBreakerError)

    return Peer("pybreaker", is_async=False, closed=module.CircuitBreaker(), refused=refused)


def _circuitbreaker() -> Peer:
    module = importlib.import_module("circuitbreaker")

    def refused() -> Callable[[], None]:
        guarded = module.circuit(failure_threshold=1, recovery_timeout=3600)(_broken)
        _opened(guarded, 2)
        return _refusal(guarded, module.CircuitBreakerError)

    return Peer("circuitbreaker", is_async=False, closed=module.circuit, refused=refused)


def _purgatory() -> Peer:
    module = importlib.import_module("purgatory")
    errors = importlib.import_module("purgatory.domain.model")

    def closed(call: Callable[..., Any]) -> Callable[[], Any]:
        return module.SyncCircuitBreakerFactory()("bench")(call)

    def refused() -> Callable[[], None]:
        guarded = module.SyncCircuitBreakerFactory(default_threshold=1, default_ttl=3600)("bench")(_broken)
        _opened(guarded, 2)
        return _refusal(guarded, errors.OpenedState)

    return Peer("purgatory", is_async=False, closed=closed, refused=refused)


def _apurgatory() -> Peer:
    module = importlib.import_module("purgatory")

    def closed(call: Callable[..., Any]) -> Callable[[], Any]:
        factory = module.AsyncCircuitBreakerFactory()

        async def guarded() -> object:
            async with await factory.get_breaker("bench"):
                return await call()

        return guarded

    return Peer("purgatory", is_async=True, closed=closed, refused=lambda: lambda: None)


def _aiobreaker() -> Peer:
    module = importlib.import_module("aiobreaker")
    breaker = module.CircuitBreaker(fail_max=5, timeout_duration=dt.timedelta(seconds=60))
    return Peer("aiobreaker", is_async=True, closed=breaker, refused=lambda: lambda: None)
