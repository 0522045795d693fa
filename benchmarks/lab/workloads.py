"""W1 to W7: each asks one side for the same work, and returns numbers by their names."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.meter import Peak, cpu, pss_megabytes
from lab.side import Kind, Side
from lab.stamps import Stamps

Numbers = dict[str, float]
_PATIENCE_SECONDS: Final = 240.0
_EARLY_SECONDS: Final = -0.001
"""Begun before this much less than nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each is asked for."""

    drained: int
    worked: int
    one_by_one: int
    bulk: int
    asked: int
    ask_every_seconds: float
    waiting: int
    delayed: int
    due_every_second: int
    backlog: int
    idle_seconds: float


QUICK: Final = Size(
    drained=5_000, worked=1_000, one_by_one=300, bulk=5_000, asked=150, ask_every_seconds=0.02, waiting=300,
    delayed=1_500, due_every_second=300, backlog=20_000, idle_seconds=5.0,
)  # fmt: skip
FULL: Final = Size(
    drained=20_000, worked=4_000, one_by_one=1_500, bulk=20_000, asked=1_000, ask_every_seconds=0.02,
    waiting=1_000, delayed=10_000, due_every_second=500, backlog=100_000, idle_seconds=20.0,
)  # fmt: skip

Open = Callable[[], contextlib.AbstractContextManager[tuple[Side, Stamps]]]


def opener(make: Callable[[Path], Side]) -> Open:
    """Return what opens a side in a folder of its own, with a file of stamps."""

    @contextlib.contextmanager
    def opened() -> Iterator[tuple[Side, Stamps]]:
        with tempfile.TemporaryDirectory() as folder:
            side = make(Path(folder))
            with side.open():
                yield side, Stamps(Path(folder))

    return opened


def drain(open_side: Open, size: Size) -> Numbers:
    """W1: jobs that do nothing, drained by one node on both cores."""
    with open_side() as (side, stamps):
        return _drain(side, stamps, "noop", round(size.drained * side.scale))


def drain_work(open_side: Open, size: Size) -> Numbers:
    """W1b: jobs of 2 ms CPU with 1 KB of arguments."""
    with open_side() as (side, stamps):
        return _drain(side, stamps, "work", round(size.worked * max(0.4, side.scale)))


def enqueue(open_side: Open, size: Size) -> Numbers:
    """W2: one producer, one by one and in bulk."""
    with open_side() as (side, stamps):
        path = str(stamps.path)
        side.enqueue("noop", (path, 0))
        began, spent = time.perf_counter(), time.process_time()
        for number in range(size.one_by_one):
            side.enqueue("noop", (path, number))
        each, spent_each = time.perf_counter() - began, time.process_time() - spent
        many = round(size.bulk * side.scale)
        began, spent = time.perf_counter(), time.process_time()
        side.enqueue_many("noop", [(path, number) for number in range(many)])
        bulk, spent_bulk = time.perf_counter() - began, time.process_time() - spent
        return {
            "one by one, jobs/s": size.one_by_one / each,
            "bulk, jobs/s": many / bulk,
            "one by one, producer CPU ms/job": 1000 * spent_each / size.one_by_one,
            "bulk, producer CPU ms/job": 1000 * spent_bulk / many,
        }


def ask(open_side: Open, size: Size) -> Numbers:
    """W3: a job at a time on an idle node: from the call to its start, and to its result."""
    with open_side() as (side, stamps):
        side.start_worker("noop", 2)
        for number in range(20):
            side.ask((str(stamps.path), -number - 1))
        calls, results = _ask(side, stamps, size.asked, size.ask_every_seconds)
        began = stamps.first_of_each()
        starts = [1000 * (began[number] - called) for number, called in enumerate(calls)]
        return {
            "start p50 ms": statistics.median(starts),
            "start p99 ms": _p99(starts),
            "result p50 ms": statistics.median(results),
            "result p99 ms": _p99(results),
        }


def wait(open_side: Open, size: Size) -> Numbers:
    """W4: jobs that wait a second, on one node."""
    with open_side() as (side, stamps):
        side.start_worker("wait", 1)
        before, peak = pss_megabytes(side.workers), Peak(side.workers)
        began = time.monotonic()
        side.enqueue_many("wait", [(str(stamps.path), number) for number in range(size.waiting)])
        stamps.wait_for(size.waiting, timeout_seconds=_PATIENCE_SECONDS)
        # All have begun; the last one waits its second.
        return {
            "until the last begins, s": max(stamps.first_of_each().values()) - began,
            "idle PSS MB": before,
            "peak PSS MB": peak.stop(),
        }


def delay(open_side: Open, size: Size) -> Numbers:
    """W5: delayed jobs that become due one after the other."""
    with open_side() as (side, stamps):
        side.start_worker("noop", 2)
        memory = pss_megabytes(side.workers)
        total = round(size.delayed * max(0.4, side.scale))
        per_batch = max(1, round(size.due_every_second * max(0.4, side.scale)) // 10)
        due: dict[int, float] = {}
        lead = 2.0 + total / 1000
        began = time.monotonic()
        for first in range(0, total, per_batch):
            numbers = range(first, min(first + per_batch, total))
            instant = began + lead + 0.1 * (first // per_batch)
            due.update(dict.fromkeys(numbers, instant))
            jobs = [(str(stamps.path), number) for number in numbers]
            side.enqueue_many("noop", jobs, delay_seconds=instant - time.monotonic())
        memory = max(0.0, pss_megabytes(side.workers) - memory)
        stamps.wait_for(total, timeout_seconds=_PATIENCE_SECONDS)
        starts = stamps.first_of_each()
        late = [starts[number] - instant for number, instant in due.items()]
        return {
            "late p50 s": statistics.median(late),
            "late p99 s": _p99(late),
            "early": float(sum(one < _EARLY_SECONDS for one in late)),
            "KB of worker per waiting job": 1000 * memory / total,
        }


def backlog(open_side: Open, size: Size) -> Numbers:
    """W6: what a job costs with few waiting, and with many."""
    costs = []
    for waiting in (1_000, size.backlog):
        with open_side() as (side, stamps):
            costs.append(_drain(side, stamps, "noop", round(waiting * side.scale), most=1_000))
    few, many = (one["worker CPU ms/job"] + one["server CPU ms/job"] for one in costs)
    return {"CPU ms/job, 1,000 waiting": few, "CPU ms/job, many waiting": many, "ratio": many / few}


def idle(open_side: Open, size: Size) -> Numbers:
    """W7: a node with nothing to do."""
    with open_side() as (side, stamps):
        side.start_worker("noop", 1)
        side.ask((str(stamps.path), 0))
        time.sleep(2.0)  # noqa: TID251 -- what it does when it starts is over
        before = cpu(side.workers, side.servers)
        time.sleep(size.idle_seconds)  # noqa: TID251 -- the measurement is of time that passes
        spent = cpu(side.workers, side.servers).since(before)
        return {
            "worker, % of a core": 100 * spent.worker / size.idle_seconds,
            "servers, % of a core": 100 * spent.server / size.idle_seconds,
            "PSS MB": pss_megabytes(side.workers),
        }


WORKLOADS: Final[dict[str, Callable[[Open, Size], Numbers]]] = {
    "W1": drain, "W1b": drain_work, "W2": enqueue, "W3": ask, "W4": wait, "W5": delay, "W6": backlog,
    "W7": idle,
}  # fmt: skip


def _drain(side: Side, stamps: Stamps, kind: Kind, total: int, most: int | None = None) -> Numbers:
    """Let all wait before the first begins; the first tenth warms up."""
    side.start_worker(kind, 2)
    with side.held_back():
        side.enqueue_many(kind, [(str(stamps.path), number) for number in range(total)])
    measured = min(total, round(most * side.scale)) if most else total
    stamps.wait_for(measured // 10, timeout_seconds=_PATIENCE_SECONDS)
    first, before = len(stamps), cpu(side.workers, side.servers)
    began = time.monotonic()
    stamps.wait_for(measured, timeout_seconds=_PATIENCE_SECONDS)
    ended, count = time.monotonic(), len(stamps) - first
    spent = cpu(side.workers, side.servers).since(before)
    return {
        "jobs/s": count / (ended - began),
        "worker CPU ms/job": 1000 * spent.worker / count,
        "server CPU ms/job": 1000 * spent.server / count,
    }


def _ask(side: Side, stamps: Stamps, count: int, every_seconds: float) -> tuple[list[float], list[float]]:
    calls, results = [], []
    path = str(stamps.path)
    for number in range(count):
        called = time.monotonic()
        side.ask((path, number))
        ended = time.monotonic()
        calls.append(called)
        results.append(1000 * (ended - called))
        time.sleep(max(0.0, called + every_seconds - ended))  # noqa: TID251 -- so many a second
    return calls, results


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]
