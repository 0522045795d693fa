"""Metrics for Prometheus: events counted as they happen, levels read when somebody scrapes.

Labels are bounded. Task, queue, outcome, state and reason, never a job, a process or a host; and
since names can come from outside (an adopted message names its task), after so many different
values of one label all further ones count as `other`.
"""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from holdfast.jobs.events import Event
from holdfast.monitoring.job_metrics import job_handlers
from holdfast.monitoring.labels import BoundedLabels
from holdfast.monitoring.levels import LevelsCollector, LevelsSupplier
from holdfast.monitoring.worker_metrics import worker_handlers


class Metrics:
    """A reader of events, and the page that Prometheus scrapes; with a registry of its own."""

    def __init__(self, levels: LevelsSupplier | None = None) -> None:
        """Count from now on; `levels` is asked at a scrape, at most once in two seconds."""
        self.registry = CollectorRegistry()
        bounded = BoundedLabels()
        self._handlers = job_handlers(self.registry, bounded) | worker_handlers(self.registry, bounded)
        if levels is not None:
            self.registry.register(LevelsCollector(levels))

    def __call__(self, event: Event) -> None:
        """Count one event; kinds that have no metric are passed over."""
        handle = self._handlers.get(type(event))
        if handle is not None:
            handle(event)

    def page(self) -> tuple[str, bytes]:
        """Return content type and text; blocks while the levels are read."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)
