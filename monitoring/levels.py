"""Gauges that are read at the moment of a scrape, since nobody counts them in between."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from holdfast.jobs.outcome import UPSTREAM
from holdfast.monitoring.labels import BoundedLabels

LEVELS_FRESH_SECONDS: Final = 2.0


class WaitingCount(Protocol):
    """How many jobs of a queue are in a state."""

    @property
    def queue(self) -> str:
        """The queue's name."""
        ...

    @property
    def state(self) -> str:
        """The state's name."""
        ...

    @property
    def count(self) -> int:
        """How many."""
        ...

    @property
    def oldest_seconds(self) -> float | None:
        """How long the oldest of them has been due, if that is known."""
        ...


class ParkedCount(Protocol):
    """How many jobs of a group wait for an upstream."""

    @property
    def waiting_for(self) -> str:
        """`upstream:` and its name."""
        ...

    @property
    def waiting(self) -> int:
        """How many."""
        ...


@dataclass(frozen=True, slots=True)
class Levels:
    """What is true at the moment of a scrape."""

    slots: int
    running: int
    waiting: Sequence[WaitingCount] = ()
    parked: Sequence[ParkedCount] = ()
    """An upstream may stand there several times."""


LevelsSupplier = Callable[[], Levels]


class LevelsCollector(Collector):
    """Reads the levels at a scrape; a ledger that is away costs the levels, not the page."""

    def __init__(self, levels: LevelsSupplier) -> None:
        """Ask this supplier, at most once in two seconds."""
        self._levels = levels
        self._last: Levels | None = None
        self._read_at = 0.0

    def describe(self) -> Iterator[Metric]:
        """Name nothing in advance."""
        # Else the registry would ask the ledger while it is being set up.
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the levels and turn them into gauges."""
        levels = self._read()
        readable = GaugeMetricFamily("holdfast_levels_readable", "1 if the levels below could be read now")
        readable.add_metric((), 0 if levels is None else 1)
        yield readable
        if levels is None:
            return
        yield _gauge("holdfast_worker_slots", "Jobs that this worker may run at once", levels.slots)
        yield _gauge("holdfast_worker_running", "Jobs that this worker runs", levels.running)
        bounded = BoundedLabels()
        jobs = GaugeMetricFamily("holdfast_jobs", "Jobs in the ledger", labels=("queue", "state"))
        oldest = GaugeMetricFamily(
            "holdfast_jobs_oldest_seconds", "Age of the oldest such job", labels=("queue", "state")
        )
        for waiting in levels.waiting:
            labels = (bounded("queue", waiting.queue), str(waiting.state))
            jobs.add_metric(labels, waiting.count)
            if waiting.oldest_seconds is not None:
                oldest.add_metric(labels, waiting.oldest_seconds)
        yield jobs
        yield oldest
        yield _parked(levels.parked, bounded)

    def _read(self) -> Levels | None:
        if self._last is None or time.monotonic() - self._read_at >= LEVELS_FRESH_SECONDS:
            try:
                self._last = self._levels()
            except Exception:  # noqa: BLE001 -- whatever keeps the levels from us, the counters are still true
                self._last = None
            self._read_at = time.monotonic()
        return self._last


def _parked(groups: Sequence[ParkedCount], bounded: BoundedLabels) -> GaugeMetricFamily:
    waiting: Counter[str] = Counter()
    for group in groups:
        waiting[bounded("upstream", group.waiting_for.removeprefix(UPSTREAM))] += group.waiting
    family = GaugeMetricFamily("holdfast_parked_jobs", "Jobs that wait for an upstream", labels=("upstream",))
    for upstream, count in waiting.items():
        family.add_metric((upstream,), count)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric((), value)
    return family
