"""Very many keys, very many calls, very many probes: memory has an end, and one is one each time."""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Generator
from typing import Any

import psutil
import pytest

from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker import store as breaker_store
from holdfast.resilience.breaker.message import Message
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import MOST_CIRCUITS, RedisStore, store_client
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share
from holdfast.tests.support.waiting import until

KEYS = 1_000_000
CALLS = 10_000_000
PROBES = 1000
PROCESSES = 8
THREADS = 50
LEAK_BYTES = 16 * 1024 * 1024
RESTLESS = BreakerPolicy(open_seconds=0.02, longest_open_seconds=0.02)
FORK = multiprocessing.get_context("fork")

pytestmark = [pytest.mark.outage, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def fleet(redis_url: str) -> Generator[Fleet]:
    """A process that shares a store, and reports to it meanwhile."""
    made = Fleet()
    share(redis_url, namespace="test", fleet=made)
    yield made
    made.stop()


def memory() -> int:
    """Return what this process takes."""
    return psutil.Process().memory_info().rss


def test_a_million_keys(fleet: Fleet, redis_url: str):
    """At most ten thousand stay in memory, each key in Redis has an end, and the process does not grow."""
    guard = Guard("tenant", retry=None, fleet=fleet)
    begin = KEYS * 2 // 5  # by then the allocator has what ten thousand breakers need in any order
    for number in range(begin):
        guard.for_key(number).call(int)
    before = memory()
    for number in range(begin, KEYS):
        guard.for_key(number).call(int)
    assert memory() - before < LEAK_BYTES
    assert MOST_CIRCUITS >= sum(fleet.known(f"tenant[{number}]") is not None for number in range(KEYS))
    client = store_client(redis_url)
    keys = list(client.scan_iter(count=1000))
    assert 0 < fleet.reporter.flushes
    assert 0 < len(keys)
    assert all(client.ttl(key) > 0 for key in keys[:: max(len(keys) // 1000, 1)])


def test_ten_million_calls(fleet: Fleet):
    """Nothing is kept of calls that went well and were told."""
    guard = Guard("up", retry=None, fleet=fleet)

    def call(times: int) -> None:
        for _ in range(times):
            guard.call(int)

    call(CALLS // 10)
    before, told = memory(), fleet.reporter.flushes
    call(CALLS - CALLS // 10)
    assert memory() - before < LEAK_BYTES
    assert fleet.reporter.flushes > told


def crowd(url: str, stop: Any, inside: Any, total: Any, overlaps: Any) -> None:
    """Fifty threads that call an upstream which never comes back, and count those that are in it."""
    # A slow answer must not pass for a lost store, without which each process probes for itself.
    breaker_store.PATIENCE_SECONDS = 30.0
    fleet = Fleet()
    share(url, namespace="test", fleet=fleet)
    guard = Guard("up", breaker=RESTLESS, retry=None, fleet=fleet)
    until(fleet.warm_up, what="a first word of the store")

    def upstream() -> None:
        with inside.get_lock():
            inside.value += 1
            total.value += 1
            overlaps.value += inside.value > 1
        time.sleep(0.003)  # noqa: TID251 -- how long the upstream takes to fail
        with inside.get_lock():
            inside.value -= 1
        raise ConnectionError

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(RejectedError, ConnectionError):
                guard.call(upstream)
            stop.wait(0.02)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fleet.stop()


def test_a_thousand_times_one_probes(redis_url: str):
    """Eight processes of fifty threads: each time that it may be probed, one call is made, none beside it."""
    store = RedisStore(store_client(redis_url), namespace="test")
    store.exchange("up", Message("a process that is gone", 0, failed=20), Terms.of(RESTLESS))
    stop, inside = FORK.Event(), FORK.Value("i", 0)
    total, overlaps = FORK.Value("i", 0), FORK.Value("i", 0)
    processes = [
        FORK.Process(target=crowd, args=(redis_url, stop, inside, total, overlaps), daemon=True)
        for _ in range(PROCESSES)
    ]
    for one in processes:
        one.start()
    try:
        until(lambda: total.value >= PROBES, timeout_seconds=600, what="a thousand probes")
    finally:
        stop.set()
        for one in processes:
            one.join(30)
            one.kill()
    assert 0 == overlaps.value
    circuit = store.read("up")
    assert circuit is not None
    assert circuit.trips == total.value + 1, "a call without its opening, or an opening without its call"
