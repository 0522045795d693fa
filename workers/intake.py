"""The intake: messages of producers that know only Celery become jobs (B8).

A service of its own on its own connection, with the stock transport and its
durable acknowledgement, so that neither its trouble nor its unacknowledged
messages touch the worker's consumer. A message is adopted on receipt, without
waiting for a slot, and acknowledged after the row is committed.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from kombu import Connection, Consumer, Queue

from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.errors import BrokerUnavailable, LedgerUnavailable
from holdfast.jobs.events import (
    Events,
    JobAdopted,
    MessageKnown,
    MessageQuarantined,
    ServiceFailed,
)
from holdfast.jobs.ids import LONGEST_JOB_ID
from holdfast.jobs.job import NewJob, Ring
from holdfast.jobs.ring_events import RingDropped
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger import Ledger
from holdfast.tasks.doorbell import Doorbell, ring_of
from holdfast.tasks.registry import Registry
from holdfast.workers.adoption import Adoptable, ForeignMessage, Refused, read
from holdfast.workers.kept import LARGEST_MESSAGE_BYTES, Kept, check_size, kept_of, said_of

_LONGEST_PAUSE: Final = 2.0
_FIRST_PAUSE: Final = 0.1
_WINDOW: Final = 64
_DRAIN_SECONDS: Final = 0.5


class Adopter:
    """Writes what a foreign message came to. Raises LedgerUnavailable: keep the message and come again."""

    def __init__(
        self,
        ledger: Ledger,
        doorbell: Doorbell,
        registry: Registry,
        *,
        adopts: bool,
        largest_bytes: int = LARGEST_BYTES,
        largest_message_bytes: int = LARGEST_MESSAGE_BYTES,
        forward: Callable[[Any], bool],
        events: Events,
        source: str,
    ) -> None:
        """Adopt into this ledger; `adopts` is for tasks that do not say it themselves.

        `forward` is asked first: it sends a message for a plain Celery task to
        where those run, and tells whether it was one. It may raise BrokerUnavailable.
        """
        self._forward = forward
        self._ledger = ledger
        self._doorbell = doorbell
        self._registry = registry
        self._adopts = adopts
        self._largest_bytes = largest_bytes
        self._largest_message_bytes = largest_message_bytes
        self._events = events
        self._source = source

    def take(self, queue: str, message: Any) -> None:
        """Adopt, refuse or quarantine one message; afterwards it may be acknowledged."""
        try:
            self._take(queue, message)
        except (LedgerUnavailable, BrokerUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 -- a message that is kept for no good reason comes again for ever
            self.put_aside(queue, QuarantineReason.UNDECODABLE, said_of(error), kept_of(message))

    def _take(self, queue: str, message: Any) -> None:
        if ring_of(message.headers) is not None:
            # Adopted, it would be a job without arguments (B8).
            self._events.emit(
                RingDropped(job_id=str(message.headers.get("id"))[:LONGEST_JOB_ID], why="not on a ring queue")
            )
            return
        check_size(message, self._largest_message_bytes)
        foreign = ForeignMessage(message.headers or {}, message.payload, _priority(message))
        if self._forward(message):
            return
        found = read(foreign, self._registry, adopts=self._adopts, largest_bytes=self._largest_bytes)
        match found:
            case Adoptable(job=job, digest=digest):
                self._adopt(queue, job, digest, message)
            case Refused(reason=reason, detail=detail, job=job, digest=digest):
                self.put_aside(queue, reason, detail, kept_of(message))
                if job is not None:
                    # So that the producer's get() ends with FAILURE instead of waiting for ever.
                    self._ledger.refuse(job, reason, detail, digest)

    def put_aside(self, queue: str, reason: QuarantineReason, detail: str, kept: Kept) -> None:
        """Keep a message for the operator."""
        self._ledger.quarantine.keep(
            queue=queue,
            reason=reason,
            detail=detail[:2000],
            raw=kept.raw,
            source=self._source,
            envelope=kept.envelope,
        )
        self._events.emit(MessageQuarantined(queue=queue, reason=reason.value))

    def _adopt(self, queue: str, job: NewJob, digest: str, message: Any) -> None:
        answer = self._ledger.adopt(job, digest)
        if answer == "id_reused":
            detail = f"the id {job.id} was used for another message before"
            self.put_aside(queue, QuarantineReason.ID_REUSED, detail, kept_of(message))
        elif answer == "adopted":
            self._events.emit(JobAdopted(job_id=job.id, task=job.task, queue=job.queue))
            if job.run_at is None:
                self._doorbell.ring([Ring(job.id, job.task, job.queue, job.priority)])
        else:
            self._events.emit(MessageKnown(job_id=job.id, queue=queue))


class Intake:
    """Reads the intake queue on a thread of its own; comes back by itself when the broker was away."""

    def __init__(
        self, connect: Callable[[], Connection], queue: Queue, adopter: Adopter, *, events: Events
    ) -> None:
        """Read this queue; `connect` makes a connection of the stock transport."""
        self._connect = connect
        self._queue = queue
        self._adopter = adopter
        self._events = events
        self._pause = _FIRST_PAUSE
        self._stop = threading.Event()
        self._ledger_is_away = False
        self._thread = threading.Thread(target=self._run, name="holdfast-intake", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End; what was received and not adopted stays with the broker."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except _AwayError:
                # The connection was dropped on purpose: its messages are delivered again.
                self._pause = _LONGEST_PAUSE
            except Exception as error:  # noqa: BLE001 -- each transport has its own errors
                if self._pause == _FIRST_PAUSE:
                    self._events.emit(ServiceFailed(service="intake", error=type(error).__name__))
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._stop.wait(self._pause)

    def _read(self) -> None:
        with self._connect() as connection:
            channel = connection.channel()
            # kombu raises what it finds wrong with a body unless somebody wants to hear of it.
            consumer = Consumer(
                channel,
                [self._queue],
                on_message=self._take,
                on_decode_error=self._take_undecodable,
                accept=["json"],
            )
            consumer.qos(prefetch_count=_WINDOW)
            with consumer:
                while not self._stop.is_set():
                    try:
                        connection.drain_events(timeout=_DRAIN_SECONDS)
                    except TimeoutError:
                        connection.heartbeat_check()
                        # It is well, and has nothing for us: the next outage is a new one, to be told.
                        self._pause = _FIRST_PAUSE

    def _take(self, message: Any) -> None:
        self._settle(message, partial(self._adopter.take, self._queue.name, message))

    def _take_undecodable(self, message: Any, error: BaseException) -> None:
        undecodable, kept = QuarantineReason.UNDECODABLE, kept_of(message)
        self._settle(
            message, partial(self._adopter.put_aside, self._queue.name, undecodable, said_of(error), kept)
        )

    def _settle(self, message: Any, write: Callable[[], None]) -> None:
        try:
            write()
        except (LedgerUnavailable, BrokerUnavailable) as error:
            # Not acknowledged: closing the connection gives it back.
            raise _AwayError from error
        message.ack()
        self._pause = _FIRST_PAUSE


class _AwayError(Exception):
    """Ledger or broker cannot be reached, so nothing may be acknowledged."""


def _priority(message: Any) -> int | None:
    properties: Mapping[str, object] = message.properties or {}
    value = properties.get("priority")
    return value if isinstance(value, int) and not isinstance(value, bool) else None
