"""Counters and histograms under our name, in one registry."""

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from holdfast.jobs.events import Event

Handlers = dict[type[Event], Callable[[Any], None]]
"""What to count for each kind of event."""


class Instruments:
    """Makes metrics whose names begin with `holdfast_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything there."""
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Make a counter; Prometheus sees it with `_total`."""
        return Counter(name, text, labels, namespace="holdfast", registry=self._registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        """Make a histogram with these upper bounds."""
        return Histogram(name, text, labels, namespace="holdfast", registry=self._registry, buckets=buckets)
