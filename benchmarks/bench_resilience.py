"""What a guarded call costs, and how fast a fleet of processes learns that an upstream is sick.

The object measured is what `Guard` makes, with the store in a real Redis attached and reporting; beside
it, in the same run, pybreaker, circuitbreaker, purgatory and aiobreaker with their state in memory (with
it in Redis they ask it in every call: 80 to 700 us). Candidates take turns within each round, so that a
busy machine is busy for all; medians of the rounds, with the best and the worst.

    make bench-resilience            or    python benchmarks/bench_resilience.py [--quick] [--json FILE]

Exit code 1 where a target is missed.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from resilience_fleet import measure_fleet
from resilience_peers import Peer, peers

from holdfast.jobs.errors import BreakerOpen
from holdfast.resilience.breaker.message import Message, Order
from holdfast.resilience.breaker.store import RedisStore, store_client
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share
from holdfast.tests.support.servers import RedisServer

SYNC_TARGET_US, ASYNC_TARGET_US = 1.0, 1.2
Timings = dict[str, list[float]]


def nothing() -> int:
    """The guarded call."""
    return 1


async def anothing() -> int:
    """The same as a coroutine."""
    return 1


def timed(call: Callable[[], object], calls: int) -> float:
    """Return microseconds a call."""
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return 1e6 * (time.perf_counter() - begun) / calls


async def atimed(call: Callable[[], Awaitable[object]], calls: int) -> float:
    """Return microseconds an awaited call."""
    begun = time.perf_counter()
    for _ in range(calls):
        await call()
    return 1e6 * (time.perf_counter() - begun) / calls


def closed(guard: Guard, others: list[Peer], rounds: int, calls: int) -> tuple[Timings, Timings]:
    """Time calls that pass, plain ones and coroutines."""
    plain = {"bare": nothing, "holdfast": guard(nothing)}
    plain |= {peer.name: peer.closed(nothing) for peer in others if not peer.is_async}
    coroutines = {"bare": anothing, "holdfast": guard(anothing)}
    coroutines |= {peer.name: peer.closed(anothing) for peer in others if peer.is_async}
    sync: Timings = {name: [] for name in plain}
    after: Timings = {name: [] for name in coroutines}

    async def around() -> None:
        for name, call in coroutines.items():
            after[name].append(await atimed(call, calls))

    for _ in range(rounds):
        for name, call in plain.items():
            sync[name].append(timed(call, calls))
        asyncio.run(around())
    return sync, after


def refused(guard: Guard, others: list[Peer], rounds: int, calls: int) -> Timings:
    """Time calls that are refused, plain ones."""

    def ours() -> None:
        try:
            guard.call(nothing)
        except BreakerOpen:
            return
        raise AssertionError("it was not refused")

    candidates = {"holdfast": ours} | {peer.name: peer.refused() for peer in others if not peer.is_async}
    found: Timings = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            found[name].append(timed(call, calls // 4))
    return found


def in_parallel(call: Callable[[], object], threads: int = 8) -> float:
    """Return the seconds that eight threads take for one call each of 50 ms."""
    barrier = threading.Barrier(threads + 1)

    def run() -> None:
        barrier.wait()
        call()

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begun


def fifty_ms() -> None:
    """A call that waits."""
    time.sleep(0.05)  # noqa: TID251 -- what is measured is a call that takes its time


def table(title: str, timings: Timings, over: str | None) -> dict[str, dict[str, float]]:
    """Print medians and spread; return them."""
    print(f"\n{title}")
    base = statistics.median(timings[over]) if over else 0.0
    found = {}
    for name, taken in timings.items():
        median = statistics.median(taken)
        found[name] = {"median": median, "best": min(taken), "worst": max(taken), "over_bare": median - base}
        extra = f"   over bare {median - base:6.2f}" if over else ""
        print(f"  {name:<16} median {median:7.2f}   best {min(taken):7.2f}   worst {max(taken):7.2f}{extra}")
    return found


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    rounds, calls, trials = (5, 20_000, 3) if options.quick else (21, 50_000, 10)
    random.seed(1)
    with RedisServer() as server:
        results, misses = measure(server.url, rounds, calls, trials)
    results["machine"] = {"python": platform.python_version(), "system": platform.platform()}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + ("every target is met" if not misses else "MISSED: " + "; ".join(misses)))
    return int(bool(misses))


def measure(url: str, rounds: int, calls: int, trials: int) -> tuple[dict[str, object], list[str]]:
    """Measure everything on one Redis; return the numbers, and which targets are missed."""
    fleet = Fleet()
    share(url, namespace="bench", fleet=fleet)
    guard, others = Guard("upstream", fleet=fleet), peers()
    sync, after = closed(guard, others, rounds, calls)
    flushes = fleet.reporter.flushes
    plain = table("closed, plain calls, us", sync, "bare")
    coroutines = table("closed, coroutines, us", after, "bare")
    print(f"  reports to the store meanwhile: {flushes}")
    store = RedisStore(store_client(url), namespace="bench")
    order = Message("bench", 0, order=Order.ISOLATE, order_reason="bench")
    store.exchange("upstream", order, Terms.of(guard.policy))
    while guard.breaker.refusal() is None:
        time.sleep(0.01)  # noqa: TID251 -- waits for the push of another thread
    rejected = table("refused, plain calls, us", refused(guard, others, rounds, calls), None)
    print("\neight threads, one call of 50 ms each, ms (0.05 s is ideal, 0.4 s is one after another)")
    waiting = Guard("waiting", fleet=fleet)
    candidates = {"holdfast": waiting(fifty_ms)}
    candidates |= {peer.name: peer.closed(fifty_ms) for peer in others if not peer.is_async}
    parallel = {}
    for name, call in candidates.items():
        parallel[name] = 1000 * statistics.median(in_parallel(call) for _ in range(5))
        print(f"  {name:<16} {parallel[name]:7.1f}")
    fleet.stop()
    together, misses = measure_fleet(url, trials)
    checks = {
        f"closed, sync: {plain['holdfast']['over_bare']:.2f} us over bare, not {SYNC_TARGET_US}":
            plain["holdfast"]["over_bare"] <= SYNC_TARGET_US,
        f"closed, async: {coroutines['holdfast']['over_bare']:.2f} us over bare, not {ASYNC_TARGET_US}":
            coroutines["holdfast"]["over_bare"] <= ASYNC_TARGET_US,
        "nothing was reported": flushes > 0,
        f"threads: {parallel['holdfast']:.0f} ms": parallel["holdfast"] < 150,  # noqa: PLR2004 -- a third of serial
    }  # fmt: skip
    misses = [what for what, is_met in checks.items() if not is_met] + misses
    results: dict[str, object] = {
        "closed_sync_us": plain, "closed_async_us": coroutines, "refused_us": rejected,
        "threads_ms": parallel, "flushes": flushes, "fleet": together,
    }  # fmt: skip
    return results, misses


if __name__ == "__main__":
    sys.exit(main())
