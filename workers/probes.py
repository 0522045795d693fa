"""The worker's probes: `/livez`, `/readyz`, `/startupz`, `/health`, `/metrics`, and the heartbeat file."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from holdfast.health.report import ComponentReport, Report, Status
from holdfast.health.threads import OneAtATime
from holdfast.workers.heartbeat_file import HeartbeatFile
from holdfast.workers.probe_server import JSON, Page, ProbeServer, Route
from holdfast.workers.vitals import LIVE, QUESTIONS, READY, STARTUP, Verdict, VitalLimits, WorkerVitals, live

_PATHS: Final = {LIVE: "/livez", READY: "/readyz", STARTUP: "/startupz"}
_FIT: Final = 200
_UNFIT: Final = 503

MetricsPage = Callable[[], tuple[str, bytes]]
"""Returns content type and body; may block, and runs on a thread."""


class Probes:
    """Server and file together. `start`, `stop`; both may be called twice, and `stop` before `start`.

    Start them first and stop them last: a worker that drains says so until it is gone.
    """

    def __init__(
        self,
        vitals: WorkerVitals,
        *,
        limits: VitalLimits,
        host: str = "127.0.0.1",
        port: int | None = 0,
        heartbeat_file: Path | None = None,
        metrics: MetricsPage | None = None,
    ) -> None:
        """Serve on `host`, by default to this machine only.

        `port` 0 lets the system choose, None opens no port; the heartbeat file tells the one in use.
        """
        self._server = ProbeServer(routes(vitals, limits, metrics), host=host, port=port or 0)
        self._has_server = port is not None
        self._file = (
            HeartbeatFile(heartbeat_file, vitals, limits, port=lambda: self._server.port)
            if heartbeat_file
            else None
        )

    @property
    def port(self) -> int | None:
        """Where the server listens; None while it does not."""
        return self._server.port

    def start(self) -> None:
        """Open the port, then write the file. Raises OSError if the address is not ours."""
        if self._has_server:
            self._server.start()
        if self._file:
            self._file.start()

    def stop(self) -> None:
        """Remove the file, then close the port."""
        if self._file:
            self._file.stop()
        self._server.stop()


def routes(vitals: WorkerVitals, limits: VitalLimits, metrics: MetricsPage | None = None) -> dict[str, Route]:
    """Return the pages by path."""
    pages: dict[str, Route] = {path: _question(name, vitals, limits) for name, path in _PATHS.items()}
    pages["/health"] = pages["/healthz"] = OneAtATime(
        lambda: _health(vitals, limits), name="holdfast-probe-health"
    )
    if metrics is not None:
        pages["/metrics"] = OneAtATime(lambda: Page(_FIT, *metrics()), name="holdfast-probe-metrics")
    return pages


def _question(name: str, vitals: WorkerVitals, limits: VitalLimits) -> Callable[[], Awaitable[Page]]:
    async def answer() -> Page:
        return _verdict(QUESTIONS[name](vitals, limits))

    return answer


def _verdict(verdict: Verdict) -> Page:
    return _json(_FIT if verdict.is_fit else _UNFIT, verdict.as_json())


def _health(vitals: WorkerVitals, limits: VitalLimits) -> Page:
    found = vitals.health_report()
    report = Report(found.timestamp, {**found.components, "worker": _myself(vitals, limits)})
    return _json(_UNFIT if report.status is Status.UNHEALTHY else _FIT, report.as_json())


def _myself(vitals: WorkerVitals, limits: VitalLimits) -> ComponentReport:
    verdict = live(vitals, limits)
    status = Status.HEALTHY if vitals.is_started() and not vitals.is_draining() else Status.DEGRADED
    doing = f"{vitals.running()} of {vitals.slots()} slots in use"
    state = "draining, " if vitals.is_draining() else "" if vitals.is_started() else "starting, "
    if not verdict.is_fit:
        status, state = Status.UNHEALTHY, f"{verdict.reason}, "
    return ComponentReport(status, None, state + doing)


def _json(status: int, body: object) -> Page:
    return Page(status, JSON, json.dumps(body).encode("utf-8") + b"\n")
