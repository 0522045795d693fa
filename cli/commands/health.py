"""`holdfast health`: one round trip through broker, worker and database."""

import asyncio
import json
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from holdfast import celeryconfig
from holdfast.health import ComponentReport, Report, Status, run_all
from holdfast.health.check import describe
from holdfast.health.database import DatabaseCheck
from holdfast.jobs.errors import SettingsError
from holdfast.ledger import Ledger, connect
from holdfast.producer import require_ledger
from holdfast.settings import Settings, load
from holdfast.tasks import results
from holdfast.tasks.application import make_app
from holdfast.tasks.health import BROKER_AWAY, ping

COLORS = {Status.HEALTHY: "green", Status.DEGRADED: "yellow", Status.UNHEALTHY: "red"}


def health(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0.5, max=300, help="Seconds to wait for a worker's answer.")
    ] = 5.0,
) -> None:
    """Send a ping through broker, worker and database. Exit code 0: healthy, 1: degraded, 2: unhealthy.

    For monitoring and for gates of a rollout; for liveness use `holdfast probe live`.
    """
    settings = load()
    report = asyncio.run(_ping(settings, timeout))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        _show(report)
    raise typer.Exit(report.status.exit_code)


async def _ping(settings: Settings, timeout_seconds: float) -> Report:
    connected: list[Ledger] = []

    def ledger() -> Ledger:
        # At the first use, inside the check: a database that is down belongs into the report.
        if not connected:
            require_ledger(settings)
            connected.append(connect(settings.ledger_config("holdfast-health")))
        return connected[0]

    results.use_ledger(ledger)
    try:
        return await _report(settings, ledger, timeout_seconds)
    finally:
        for each in connected:
            each.close()


async def _report(settings: Settings, ledger: Callable[[], Ledger], timeout_seconds: float) -> Report:
    try:
        config = celeryconfig.config(settings)
    except SettingsError as error:
        if not settings.has_embedded_broker:
            raise
        # Nobody runs the embedded broker: that is a state of the platform, not a fault in the settings.
        found = await run_all([DatabaseCheck(ledger)], deadline_seconds=timeout_seconds)
        away = ComponentReport(Status.UNHEALTHY, None, describe(error))
        worker = ComponentReport(Status.DEGRADED, None, BROKER_AWAY)
        return Report(found.timestamp, {**found.components, "redis": away, "worker": worker})
    app = make_app("holdfast-health", config)
    return await ping(app, ledger, queue=settings.names.health_queue, timeout_seconds=timeout_seconds)


def _show(report: Report) -> None:
    table = Table(title=f"{report.status} at {report.timestamp:%Y-%m-%d %H:%M:%S} UTC", title_justify="left")
    for heading in ("component", "status", "ms", "detail"):
        table.add_column(heading)
    for name, part in report.components.items():
        latency = "" if part.latency_ms is None else f"{part.latency_ms:.1f}"
        table.add_row(name, f"[{COLORS[part.status]}]{part.status}[/]", latency, part.detail)
    console = Console()
    console.print(table)
    if report.hops_ms:
        console.print(
            "hops in ms: " + ", ".join(f"{name} {value:.1f}" for name, value in report.hops_ms.items())
        )
