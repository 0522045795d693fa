"""The ping: producer -> broker -> worker slot -> database -> producer, with the time of each hop.

It is a plain Celery task on a queue of its own, so it goes the way of every message and takes a
slot of the worker's, but it is no job: nothing is kept of it, and nobody tries it again.
For monitoring and for gates of a rollout; never for liveness (docs/adr/0002-ping-is-not-liveness.md).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from celery import Celery, Task

from holdfast.health.broker import BrokerCheck
from holdfast.health.check import describe, run_all
from holdfast.health.database import DatabaseCheck
from holdfast.health.report import ComponentReport, Report, Status
from holdfast.health.worker import RoundTripCheck
from holdfast.jobs.clock import Clock, SystemClock
from holdfast.tasks.round_trip import CHECK_SECONDS, PING_TASK, LedgerSupplier, RoundTrip, queue_wait

BROKER_AWAY: Final = "not asked: without the broker no worker can be reached"
DATABASE_AWAY: Final = "not asked: a worker's answer comes through the database"


def register(
    app: Celery, ledger: LedgerSupplier, *, queue: str, clock: Clock | None = None
) -> "Task[Any, Any]":
    """Make `health.ping` known to a worker's app; `queue` is the broker's name of the health queue.

    The task's result is a report as JSON, made in the worker, also for whoever sends it by hand.
    """
    database, broker = DatabaseCheck(ledger), BrokerCheck(app, timeout_seconds=CHECK_SECONDS)
    wall = clock or SystemClock()

    def ping(self: "Task[Any, Any]", /, **stamps: object) -> dict[str, object]:
        started = time.monotonic()
        wait = queue_wait(stamps, started, wall)
        components = {check.name: _measured(check.measure) for check in (database, broker)}
        hops = {**wait.hops, **components["database"].hops_ms, "run": 1000 * (time.monotonic() - started)}
        components = {name: replace(component, hops_ms={}) for name, component in components.items()}
        said = f"{self.request.hostname or 'a worker'} answered{wait.caveat}"
        components["worker"] = ComponentReport(Status.HEALTHY, hops["run"], said, hops)
        return Report(wall.now(), components).as_json()

    make = app.task(name=PING_TASK, bind=True, queue=queue, max_retries=0, ignore_result=False, shared=False)
    return make(ping)


async def ping(
    app: Celery, ledger: LedgerSupplier, *, queue: str, timeout_seconds: float, clock: Clock | None = None
) -> Report:
    """Check broker and database from here, then make the round trip; all within `timeout_seconds`.

    Never raises for what is down: that is in the report. What could not be asked because another
    part is down is `degraded`, and its detail says why.
    """
    started = time.monotonic()
    broker = BrokerCheck(app, timeout_seconds=min(CHECK_SECONDS, timeout_seconds))
    report = await run_all(
        [DatabaseCheck(ledger), broker], deadline_seconds=min(CHECK_SECONDS, timeout_seconds), clock=clock
    )
    components = {name: replace(found, hops_ms={}) for name, found in report.components.items()}
    if reason := _why_not_asked(components, broker.name):
        return replace(
            report, components=components | {"worker": ComponentReport(Status.DEGRADED, None, reason)}
        )
    left_seconds = max(0.1, timeout_seconds - (time.monotonic() - started))
    trip = RoundTrip(app, ledger, queue=queue, timeout_seconds=left_seconds, clock=clock or SystemClock())
    # The trip bounds itself; the deadline here is for a socket that hangs all the same.
    answered = await run_all([RoundTripCheck(trip)], deadline_seconds=left_seconds + 1, clock=clock)
    return Report(
        answered.timestamp, {**_as_both_see(components, trip.seen_by_worker), **answered.components}
    )


def _measured(measure: Callable[[], ComponentReport]) -> ComponentReport:
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 -- what is down is the answer, not a failure of the ping
        return ComponentReport(Status.UNHEALTHY, None, describe(error))


def _why_not_asked(components: Mapping[str, ComponentReport], broker: str) -> str:
    if components[broker].status is Status.UNHEALTHY:
        return BROKER_AWAY
    if components["database"].status is Status.UNHEALTHY:
        return DATABASE_AWAY
    return ""


def _as_both_see(
    here: Mapping[str, ComponentReport], there: Mapping[str, ComponentReport]
) -> dict[str, ComponentReport]:
    """Report the worse of what producer and worker saw of a component."""
    seen = dict(here)
    for name, component in there.items():
        mine = seen.get(name)
        if mine is not None and component.status.exit_code > mine.status.exit_code:
            seen[name] = replace(component, detail=f"as the worker sees it: {component.detail}")
    return seen
