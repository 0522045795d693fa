"""Eight processes that call one upstream: how fast all know that it is sick, and how many calls it costs."""

import contextlib
import functools
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from holdfast.jobs.errors import BreakerOpen
from holdfast.jobs.events import Event, Events
from holdfast.jobs.upstream_events import UpstreamSeen, UpstreamTurned
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share

PROCESSES = 8
STREAK = 20
POLICY = BreakerPolicy(streak=STREAK, open_seconds=0.5, longest_open_seconds=0.5)
RATES = (12, 50, 200)
SEEN_TARGET_MS, SEEN_MEDIAN_TARGET_MS, PUSH_TARGET_MS, LEAK_TARGET = 100.0, 30.0, 5.0, 2
_MEDIAN_RATE = 50


class Caller:
    """One process: calls at its rate, and writes down when."""

    def __init__(self, url: str, name: str, rate: float, is_sick: Any) -> None:  # noqa: ANN401 -- a shared value
        self._is_sick = is_sick
        self._rate = rate
        self.failed: list[float] = []
        self.made: list[float] = []
        self.opened: list[float] = []
        self.turned: list[float] = []
        self._fleet = Fleet(events=Events(self._hear))
        share(url, namespace="fleet", fleet=self._fleet)
        self._guard = Guard(name, breaker=POLICY, retry=None, fleet=self._fleet)

    def run(self, stop: Any) -> dict[str, list[float]]:  # noqa: ANN401 -- an event of another process
        """Call until told to stop."""
        while not stop.is_set():
            time.sleep((0.5 + random.random()) / self._rate)  # noqa: S311, TID251 -- calls come at a rate, spread
            with contextlib.suppress(ConnectionError, BreakerOpen):
                self._guard.call(self._call)
        self._fleet.stop()
        return {"failed": self.failed, "made": self.made, "opened": self.opened, "turned": self.turned}

    def _call(self) -> None:
        self.made.append(time.monotonic())
        if self._is_sick.value:
            self.failed.append(time.monotonic())
            raise ConnectionError

    def _hear(self, event: Event) -> None:
        if isinstance(event, UpstreamTurned) and event.turn == "opened":
            self.turned.append(time.monotonic())
        elif isinstance(event, UpstreamSeen) and event.phase == "open":
            self.opened.append(time.monotonic())


def _process(make: Callable[[], Caller], stop: Any, line: Connection) -> None:  # noqa: ANN401 -- as above
    line.send(make().run(stop))


def trial(url: str, name: str, rate: float) -> dict[str, float]:
    """Let an upstream fall, stay down for two openings, and tell what the processes saw."""
    context = multiprocessing.get_context("fork")
    is_sick, stop = context.Value("b", 0), context.Event()
    lines, workers = [], []
    make = functools.partial(Caller, url, name, rate, is_sick)
    for _ in range(PROCESSES):
        ours, theirs = context.Pipe()
        worker = context.Process(target=_process, args=(make, stop, theirs), daemon=True)
        worker.start()
        lines.append(ours)
        workers.append(worker)
    time.sleep(1.5)  # noqa: TID251 -- healthy calls fill the window
    is_sick.value = 1
    time.sleep(1.6 + STREAK / (rate * PROCESSES))  # noqa: TID251 -- an outage has a length
    stop.set()
    told = [line.recv() for line in lines]
    for worker in workers:
        worker.join(10)
    failed = sorted(at for one in told for at in one["failed"])
    turned = min(at for one in told for at in one["turned"])
    seen = max(min(one["opened"]) for one in told)
    made = [at for one in told for at in one["made"]]
    # The store is open from here on; the first probe comes 0.4 s later at the earliest.
    leaked = [at for at in made if turned < at < turned + 0.35]
    probes = [at for at in made if turned + 0.35 <= at < turned + 0.35 + 0.45]
    return {
        "seen_ms": 1000 * (seen - failed[STREAK - 1]),
        "push_ms": max(1000 * (seen - turned), 0.0),
        "leaked": len(leaked),
        "probes": len(probes),
        "failed": len(failed),
    }


def measure_fleet(url: str, trials: int) -> tuple[dict[str, object], list[str]]:
    """Play trials at each rate; print them, and say which targets are missed."""
    print(f"\n{PROCESSES} processes, {trials} trials each: from the {STREAK}th failure until all know, ms")
    results: dict[str, object] = {}
    misses: list[str] = []
    for rate in RATES:
        played = [trial(url, f"up-{rate}-{number}", rate) for number in range(trials)]
        column = {key: [one[key] for one in played] for key in played[0]}
        results[str(rate)] = column
        seen, push, leaked = column["seen_ms"], column["push_ms"], column["leaked"]
        print(
            f"  {rate:>3} calls/s each   median {statistics.median(seen):6.1f}  worst {max(seen):6.1f}   "
            f"push gap median {statistics.median(push):4.1f} ms   leaked median "
            f"{statistics.median(leaked):.0f} worst {max(leaked):.0f}   "
            f"probes at one time {sorted(set(column['probes']))}"
        )
        misses += _missed(rate, column)
    return results, misses


def _missed(rate: int, column: dict[str, list[float]]) -> list[str]:
    checks = {
        f"all see open: {max(column['seen_ms']):.0f} ms at {rate}/s":
            max(column["seen_ms"]) <= SEEN_TARGET_MS,
        f"push gap: {statistics.median(column['push_ms']):.1f} ms at {rate}/s":
            statistics.median(column["push_ms"]) <= PUSH_TARGET_MS,
        f"leaked: {statistics.median(column['leaked']):.0f} at {rate}/s":
            statistics.median(column["leaked"]) <= LEAK_TARGET,
        f"probes: {column['probes']} at {rate}/s": set(column["probes"]) == {1},
    }  # fmt: skip
    if rate == _MEDIAN_RATE:
        median = statistics.median(column["seen_ms"])
        checks[f"all see open: median {median:.0f} ms at {rate}/s"] = median <= SEEN_MEDIAN_TARGET_MS
    return [what for what, is_met in checks.items() if not is_met]
