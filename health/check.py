"""Runs checks side by side, bounded in time, with every error turned into a report."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from holdfast.health.report import ComponentReport, Report, Status
from holdfast.jobs.clock import Clock, SystemClock
from holdfast.jobs.errors import PlatformError
from holdfast.jobs.redaction import redact

LONGEST_DETAIL = 300


class HealthCheck(Protocol):
    """A name and a coroutine; the deadline and the error handling are not its work."""

    @property
    def name(self) -> str:
        """The component's name in the report."""
        ...

    async def check(self) -> ComponentReport:
        """Ask the component; may raise anything, and may hang."""
        ...


async def run_all(
    checks: Sequence[HealthCheck], *, deadline_seconds: float, clock: Clock | None = None
) -> Report:
    """Run all checks at once and report on each, after at most `deadline_seconds`.

    A check that raises or hangs makes its component unhealthy and disturbs no other.
    Never raises, save for being cancelled.
    """
    reports = await asyncio.gather(*(_bounded(check, deadline_seconds) for check in checks))
    now = (clock or SystemClock()).now()
    return Report(now, {check.name: report for check, report in zip(checks, reports, strict=True)})


def describe(error: BaseException) -> str:
    """Say in one line what went wrong, without secrets."""
    lines = str(error).strip().splitlines()
    kind = "" if isinstance(error, PlatformError) else f"{type(error).__name__}: "
    text = f"{kind}{lines[0]}" if lines else type(error).__name__
    return redact(text)[:LONGEST_DETAIL].rstrip(".")


async def _bounded(check: HealthCheck, deadline_seconds: float) -> ComponentReport:
    started = time.monotonic()
    try:
        async with asyncio.timeout(deadline_seconds):
            return await check.check()
    except Exception as error:  # noqa: BLE001 -- whatever a check meets is its component's state, not ours
        if isinstance(error, TimeoutError) and time.monotonic() - started >= deadline_seconds:
            return ComponentReport(Status.UNHEALTHY, None, f"timed out after {deadline_seconds:g} s")
        return ComponentReport(Status.UNHEALTHY, None, describe(error))
