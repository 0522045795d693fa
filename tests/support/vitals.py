"""A worker's vital signs as a test wants them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.health.report import Report
from holdfast.jobs.clock import SystemClock
from holdfast.workers.vitals import WorkerVitals


@dataclass
class SetVitals(WorkerVitals):
    """Every sign is a field; all of them together are a worker in good health."""

    tick_age: float = 0.0
    started: bool = True
    draining: bool = False
    broker_age: float | None = 0.0
    ledger_age: float | None = 0.0
    report: Callable[[], Report] = field(default=lambda: Report(SystemClock().now(), {}))

    def loop_tick_age_seconds(self) -> float:
        """As set."""
        return self.tick_age

    def is_started(self) -> bool:
        """As set."""
        return self.started

    def is_draining(self) -> bool:
        """As set."""
        return self.draining

    def broker_age_seconds(self) -> float | None:
        """As set."""
        return self.broker_age

    def ledger_age_seconds(self) -> float | None:
        """As set."""
        return self.ledger_age

    def running(self) -> int:
        """Three, always."""
        return 3

    def slots(self) -> int:
        """Ten, always."""
        return 10

    def health_report(self) -> Report:
        """What the field makes."""
        return self.report()


NEVER = math.inf
