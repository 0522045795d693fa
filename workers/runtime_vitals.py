"""What the probes ask of a running worker."""

from collections.abc import Callable

from holdfast.health.report import Report
from holdfast.jobs.clock import Clock
from holdfast.workers.runtime import Runtime


class RuntimeVitals:
    """Implements `vitals.WorkerVitals` over a runtime."""

    def __init__(self, runtime: Runtime, report: Callable[[], Report], clock: Clock) -> None:
        """Answer for this runtime; `report` checks the components and may block."""
        self._runtime = runtime
        self._report = report
        self._clock = clock

    def loop_tick_age_seconds(self) -> float:
        """Return how long ago the event loop last turned."""
        return self._runtime.loop.tick_age_seconds

    def is_started(self) -> bool:
        """Tell whether the consumer was ready once."""
        return self._runtime.has_been_ready

    def is_draining(self) -> bool:
        """Tell whether the worker takes no new jobs any more."""
        return self._runtime.gate.is_closed

    def broker_age_seconds(self) -> float | None:
        """Return how long ago the broker answered."""
        seen_at = self._runtime.broker_seen_at
        return None if seen_at is None else self._clock.monotonic() - seen_at

    def ledger_age_seconds(self) -> float | None:
        """Return how long ago the ledger took a beat."""
        return self._clock.monotonic() - self._runtime.ledger_seen_at

    def running(self) -> int:
        """Return how many jobs run."""
        return len(self._runtime.gate.running)

    def slots(self) -> int:
        """Return how many jobs may run at once."""
        return self._runtime.gate.slots

    def health_report(self) -> Report:
        """Check the components."""
        return self._report()
