"""Messages that are no rings: kept aside or adopted, away from the hub's thread.

Until the ledger has taken one, it is not acknowledged; an outage is waited
through, a shutdown leaves the message to the broker.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from holdfast.jobs.errors import BrokerUnavailable, LedgerError
from holdfast.jobs.events import Events
from holdfast.jobs.ids import JobId, is_job_id
from holdfast.jobs.ring_events import RingDropped
from holdfast.jobs.state import QuarantineReason
from holdfast.tasks.doorbell import ring_of
from holdfast.workers.intake import Adopter
from holdfast.workers.kept import Kept, kept_of
from holdfast.workers.threads import DaemonThreads

_PAUSE_SECONDS: Final = 1.0
_THREADS: Final = 2
_LONGEST_ID: Final = 255


class Strays:
    """What the consumer does with a message that the gate has no use for."""

    def __init__(self, adopter: Adopter, events: Events, pass_on: Callable[[JobId], object]) -> None:
        """Write through this adopter; `pass_on` is told of jobs that are not offered here."""
        self._adopter = adopter
        self._pass_on = pass_on
        self._events = events
        self._stop = threading.Event()
        self._threads = DaemonThreads(_THREADS, name="holdfast-strays")

    def put_aside(
        self, message: Any, reason: QuarantineReason, detail: str, reject: Callable[[], object]
    ) -> None:
        """Keep a bad message in the quarantine, then reject it."""
        self._persist(
            partial(self._adopter.put_aside, _queue_of(message), reason, detail, kept_of(message)), reject
        )

    def put_bytes_aside(self, queue: str, raw: bytes, detail: str) -> None:
        """Keep what is not even a message."""
        self._persist(
            partial(self._adopter.put_aside, queue, QuarantineReason.UNDECODABLE, detail, Kept(raw)), _nothing
        )

    def adopt(self, message: Any, ack: Callable[[], object]) -> None:
        """Adopt a foreign message that came by a ring queue, where it does not belong."""
        self._persist(partial(self._adopter.take, _queue_of(message), message), ack)

    def take_unknown_task(self, message: Any, reject: Callable[[], object]) -> None:
        """Let a ring for a task that is not offered here go; its job waits, visibly, for one that does."""
        if ring_of(message.headers) is None:
            self.adopt(message, reject)
            return
        job_id = message.headers.get("id")
        self._events.emit(RingDropped(job_id=str(job_id)[:_LONGEST_ID], why="not offered here"))
        reject()
        if is_job_id(job_id):
            self._pass_on(JobId(job_id))

    def close(self) -> None:
        """Take no more; what is not written yet stays with the broker."""
        self._stop.set()
        self._threads.close()

    def _persist(self, write: Callable[[], object], done: Callable[[], object]) -> None:
        self._threads.submit(partial(self._write, write, done))

    def _write(self, write: Callable[[], object], done: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                write()
            except (LedgerError, BrokerUnavailable):
                self._stop.wait(_PAUSE_SECONDS)
            else:
                done()
                return


def _queue_of(message: Any) -> str:
    return str((message.delivery_info or {}).get("routing_key", ""))


def _nothing() -> None:
    """Do nothing."""
