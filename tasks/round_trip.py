"""One message to a worker and its answer, with the time of each hop.

Clocks: the length of a hop is a difference on one clock, the producer's or the worker's. Only the
wait in the queue begins on one host and ends on another. On one machine both read the same
monotonic clock; else the wall clocks are compared, and the report calls the hop an estimate.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, cast

from celery import Celery
from celery.exceptions import TimeoutError as NoAnswer
from celery.result import AsyncResult
from kombu import Connection

from holdfast.health.broker import broker_name, connection_errors, impatient_connection
from holdfast.health.check import describe
from holdfast.health.database import CanPing
from holdfast.health.report import ComponentReport, Status
from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import BrokerUnavailable
from holdfast.jobs.job import WorkerRow
from holdfast.tasks.doorbell import ring_queue

PING_TASK: Final = "health.ping"
CHECK_SECONDS: Final = 2.0
"""Longest wait for broker or database; an answer that takes longer is none for our purpose."""
MOST_WAITING_PINGS: Final = 100
"""With more in the queue no worker reads it; they are thrown away, so that pings cannot fill a broker."""
_POLL_SECONDS: Final = 0.1
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class PingedLedger(CanPing, Protocol):
    """The part of the ledger that a ping needs."""

    def workers(self) -> Sequence[WorkerRow]:
        """Return the live workers; raises LedgerUnavailable."""
        ...


LedgerSupplier = Callable[[], PingedLedger]
"""Gives the ledger; raises LedgerUnavailable when it has to connect and cannot."""


class RoundTrip:
    """Sends `health.ping` and waits for its report; blocking, for at most the timeout and a connection's."""

    def __init__(
        self, app: Celery, ledger: LedgerSupplier, *, queue: str, timeout_seconds: float, clock: Clock
    ) -> None:
        """Prepare a trip through the broker's queue of this name."""
        self._app = app
        self._ledger = ledger
        self._queue = ring_queue(queue, quorum=broker_name(app) == "rabbitmq")
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._stamped = 0.0
        self.seen_by_worker: Mapping[str, ComponentReport] = {}
        """What the worker found of the other components; empty until it has answered."""

    def __call__(self) -> ComponentReport:
        """Make the trip and report on the worker; raises BrokerUnavailable."""
        started = time.monotonic()
        answer = self._send()
        sent = time.monotonic()
        enqueue_ms, publish_ms = 1000 * (sent - started), 1000 * (sent - self._stamped)
        try:
            body = answer.get(
                timeout=max(0.05, self._timeout_seconds - enqueue_ms / 1000),
                interval=_POLL_SECONDS,
                disable_sync_subtasks=False,
            )
        except NoAnswer:
            return ComponentReport(Status.UNHEALTHY, None, self._silence())
        total_ms = 1000 * (time.monotonic() - started)
        return self._read(
            cast("dict[str, Any]", body), enqueue_ms=enqueue_ms, publish_ms=publish_ms, total_ms=total_ms
        )

    def _send(self) -> AsyncResult[Any]:
        options: dict[str, Any] = {
            "queue": self._queue,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "retry": False,
            "ignore_result": False,
        }
        try:
            with impatient_connection(self._app, timeout_seconds=CHECK_SECONDS) as connection:
                self._drop_backlog(connection)
                self._stamped = time.monotonic()
                return self._app.send_task(
                    PING_TASK,
                    kwargs=self._stamps(),
                    connection=connection,
                    expires=self._timeout_seconds,
                    **options,
                )
        except connection_errors(self._app) as error:
            raise BrokerUnavailable(detail=describe(error)) from error

    def _stamps(self) -> dict[str, object]:
        sent_at = self._clock.now().timestamp()
        return {"machine": _machine(), "sent_monotonic": self._stamped, "sent_at": sent_at}

    def _drop_backlog(self, connection: Connection) -> None:
        connection.ensure_connection(max_retries=0)
        with connection.channel() as channel:
            queue = self._queue(channel)
            declared: Any = queue.queue_declare()
            if declared.message_count > MOST_WAITING_PINGS:
                queue.purge()

    def _read(self, body: dict[str, Any], **times_ms: float) -> ComponentReport:
        parts = {name: _component(part) for name, part in dict(body["components"]).items()}
        worker = parts.pop("worker")
        self.seen_by_worker = parts
        measured = {str(name): float(value) for name, value in dict(body.get("hops_ms", {})).items()}
        return replace(worker, latency_ms=times_ms["total_ms"], hops_ms=complete_hops(measured, **times_ms))

    def _silence(self) -> str:
        said = f"no worker answered within {self._timeout_seconds:.1f} s"
        alive = self._ledger().workers()
        if not alive:
            return f"{said}; no live worker is registered in the ledger"
        slots = sum(worker.slots for worker in alive)
        return f"{said}; the ledger knows {len(alive)} live workers with {slots} slots: are all of them busy?"


def complete_hops(
    measured: Mapping[str, float], *, enqueue_ms: float, publish_ms: float, total_ms: float
) -> dict[str, float]:
    """Put the worker's and the producer's milliseconds together, so that the hops add up to the whole.

    `enqueue` (connect and publish) + `queue_wait` + `run` + `result` = `total`; the database's two
    are part of `run`. The worker's `queue_wait` counts from before the publish, which is therefore
    taken out of it, and it is held within what the producer saw; `result` is what remains.
    """
    run_ms = measured.get("run", 0.0)
    rest_ms = max(0.0, total_ms - enqueue_ms - run_ms)
    wait_ms = min(rest_ms, max(0.0, measured.get("queue_wait", 0.0) - publish_ms))
    hops = {"enqueue": enqueue_ms, "queue_wait": wait_ms, "run": run_ms}
    hops |= {name: measured[name] for name in ("database_read", "database_write") if name in measured}
    return hops | {"result": rest_ms - wait_ms, "total": total_ms}


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a message was under way, as far as that is known."""

    hops: dict[str, float] = field(default_factory=dict[str, float])
    caveat: str = ""


def queue_wait(stamps: Mapping[str, Any], started: float, clock: Clock) -> Wait:
    """Judge how long the message was under way; nothing when it was sent by hand, without stamps."""
    machine, sent_monotonic, sent_at = (stamps.get(name) for name in ("machine", "sent_monotonic", "sent_at"))
    if machine and machine == _machine() and isinstance(sent_monotonic, float):
        return Wait({"queue_wait": max(0.0, 1000 * (started - sent_monotonic))})
    if isinstance(sent_at, float):
        wait_ms = max(0.0, 1000 * (clock.now().timestamp() - sent_at))
        return Wait({"queue_wait": wait_ms}, "; queue_wait and result are estimates over two hosts' clocks")
    return Wait()


def _machine() -> str:
    """Name the running kernel: who shares it shares the monotonic clock. Empty where that is not known."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _component(part: Mapping[str, Any]) -> ComponentReport:
    return ComponentReport(Status(part["status"]), part["latency_ms"], str(part["detail"]))
