"""Processes that guard one upstream together, each with a breaker of its own that it shares."""

import multiprocessing
from collections.abc import Callable
from typing import Any, Final

from holdfast.resilience.breaker.message import Message
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import RedisStore, store_client
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share
from holdfast.tests.support.waiting import until

NAMESPACE: Final = "test"
POLICY: Final = BreakerPolicy(
    streak=5, open_seconds=0.3, longest_open_seconds=0.3, probe_lease_seconds=1.0, slow_after_seconds=30.0
)
FORK: Final = multiprocessing.get_context("fork")
"""Test modules have no name that a spawned process could import."""


def guard_of(url: str, name: str, policy: BreakerPolicy = POLICY) -> Guard:
    """Make what every process has: a guard whose breaker it shares, and that hears of turns."""
    fleet = Fleet()
    share(url, namespace=NAMESPACE, fleet=fleet)
    guard = Guard(name, breaker=policy, retry=None, fleet=fleet)
    until(fleet.warm_up, what="a first word of the store")
    until(lambda: fleet.reporter.is_told, what="the subscription")
    return guard


def store_of(url: str) -> RedisStore:
    """Make the store that these processes share."""
    return RedisStore(store_client(url), namespace=NAMESPACE)


def opened(url: str, name: str, policy: BreakerPolicy = POLICY) -> RedisStore:
    """Open a circuit, as a fleet that saw failures would have: two processes, in case that others call."""
    store = store_of(url)
    for who in ("a process that is gone", "another one"):
        store.exchange(name, Message(who, 0, failed=policy.streak), Terms.of(policy))
    return store


class Processes:
    """Programs that run until they are told to stop, and are gone at the end."""

    def __init__(self, url: str) -> None:
        """Give each of them this address of the store."""
        self.url = url
        self.stop = FORK.Event()
        self.all: list[Any] = []

    def start(self, program: Callable[..., None], *arguments: object) -> Any:
        """Run a program in a process of its own."""
        process = FORK.Process(target=program, args=(self.url, self.stop, *arguments), daemon=True)
        process.start()
        self.all.append(process)
        return process

    def close(self) -> None:
        """End what is left. Not by the event: who was killed while it waited may have kept its lock."""
        for process in self.all:
            process.kill()
            process.join(5)
