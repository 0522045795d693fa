"""Reports for askers that come often and from any thread."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Final

from holdfast.health.check import HealthCheck, run_all
from holdfast.health.report import Report
from holdfast.jobs.clock import Clock

FRESH_SECONDS: Final = 2.0


class Reporter:
    """Runs the checks at most once in `fresh_seconds`, however many ask: probes must not hammer a broker.

    Blocks the asking thread for at most `deadline_seconds`; so it may not be called on a thread
    whose event loop is running.
    """

    def __init__(
        self,
        checks: Sequence[HealthCheck],
        *,
        deadline_seconds: float,
        fresh_seconds: float = FRESH_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        """Report on these checks."""
        self._checks = checks
        self._deadline_seconds = deadline_seconds
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._made_at = 0.0

    def report(self) -> Report:
        """Return the present report, or one that is at most `fresh_seconds` old."""
        with self._lock:
            if self._report is None or time.monotonic() - self._made_at >= self._fresh_seconds:
                self._report = asyncio.run(
                    run_all(self._checks, deadline_seconds=self._deadline_seconds, clock=self._clock)
                )
                self._made_at = time.monotonic()
            return self._report
