"""Tell the workers that a job is waiting: a Celery message that names the job and carries nothing else.

A lost ring is harmless, since the stager rings again; a doubled one too,
since the claim finds nothing. So whoever rings never waits for the broker.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, cast

from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.messaging import Producer
from kombu.transport.base import StdChannel
from redis.exceptions import ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError

from holdfast.jobs.job import Ring

RING_HEADER: Final = "holdfast"
RING_PROTOCOL: Final = 1
FLUSH_ON_CLOSE_SECONDS: Final = 0.5
DEFAULT_CAPACITY: Final = 10_000

_BODY: Final = '[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
_BATCH: Final = 200
_SOCKET_TIMEOUT_SECONDS: Final = 5.0
_HEARTBEAT_SECONDS: Final = 10.0
_IDLE_CHECK_SECONDS: Final = 2.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0

_FOR_A_WHILE: Final = (ReadOnlyError, OutOfMemoryError, MasterDownError, ClusterDownError)
"""What a server answers that takes no writes at the moment: an outage, whatever the queue."""

_log: Final = logging.getLogger(__name__)


def ring_queue(name: str, *, quorum: bool) -> Queue:
    """Return the broker queue of rings; all who declare it must declare it in this same way."""
    arguments = {"x-queue-type": "quorum"} if quorum else None
    return Queue(name, Exchange(""), routing_key=name, durable=True, queue_arguments=arguments)


def ring_headers(ring: Ring, ledger_id: str) -> dict[str, object]:
    """Return the headers of a ring: Celery's, and the mark that tells it from a job sent by somebody else."""
    return {
        "lang": "py",
        "task": ring.task,
        "id": ring.job_id,
        "root_id": ring.job_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "holdfast",
        "ignore_result": False,
        RING_HEADER: {"ring": RING_PROTOCOL, "ledger": ledger_id},
    }


def ring_of(headers: Mapping[str, object] | None) -> str | None:
    """Return the ledger id that a message's headers carry, or None if the message is no ring.

    A mark that cannot be read gives "", which is no ledger's id: such a
    message is dropped, never taken for a job of somebody else's.
    """
    if not headers or RING_HEADER not in headers:
        return None
    mark = headers[RING_HEADER]
    ledger = cast("Mapping[str, object]", mark).get("ledger") if isinstance(mark, Mapping) else None
    return ledger if isinstance(ledger, str) else ""


class Doorbell:
    """Rings on a daemon thread of its own, with a connection of its own.

    `ring` neither blocks nor raises, also while the broker is down or frozen.
    Rings wait in a bounded line meanwhile; when it is full the oldest are
    dropped. One log line per outage. To be used in the process that made it:
    threads do not survive a fork.
    """

    def __init__(
        self,
        app: Celery,
        *,
        ledger_id: str,
        queue_prefix: str,
        quorum: bool,
        capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        """Prepare; the thread and the connection start with the first ring."""
        self._app = app
        self._ledger_id = ledger_id
        self._queue_prefix = queue_prefix
        self._quorum = quorum
        self._waiting: deque[Ring] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._sending = 0
        self._is_closed = False
        self._dropped = 0
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """How many rings found no room; their jobs are rung by the stager."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """How many rings are not sent yet."""
        return len(self._waiting) + self._sending

    def ring(self, rings: Sequence[Ring]) -> None:
        """Ring for jobs that are committed. Returns at once and never raises."""
        if not rings:
            return
        with self._changed:
            if self._is_closed:
                self._dropped += len(rings)
                return
            room = (self._waiting.maxlen or 0) - len(self._waiting)
            self._dropped += max(0, len(rings) - room)
            self._waiting.extend(rings)
            self._start()
            self._changed.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all rings are sent; False if time ran out first."""
        with self._changed:
            return self._changed.wait_for(lambda: self.waiting == 0, timeout_seconds)

    def close(self, timeout_seconds: float = FLUSH_ON_CLOSE_SECONDS) -> None:
        """Send what can be sent within the time, and let the rest go. A second call does nothing."""
        if self._thread is not None:
            self.flush(timeout_seconds)
        with self._changed:
            self._is_closed = True
            self._dropped += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread is not None:
            # A thread that hangs in a frozen socket is a daemon and ends with its socket's timeout.
            self._thread.join(timeout_seconds)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="holdfast-doorbell", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        line = _Line(self._app, self._ledger_id, self._queue_prefix, quorum=self._quorum)
        outage = _Outage()
        while batch := self._next_batch(line):
            try:
                line.send(batch)
            except Exception as error:  # noqa: BLE001 -- each transport has its own errors, and a ring may always be lost
                line.hang_up()
                self._recover(line, batch, outage, error)
            else:
                outage.is_over()
                self._sent()
        line.hang_up()

    def _recover(self, line: "_Line", batch: list[Ring], outage: "_Outage", error: Exception) -> None:
        is_refused = line.is_refused and not _is_for_a_while(error)
        left = self._send_apart(line, batch) if is_refused else batch
        if not left:
            outage.is_over()
            self._sent()
            return
        outage.goes_on(error)
        self._keep(left)
        self._pause(outage.pause_seconds)

    def _send_apart(self, line: "_Line", batch: list[Ring]) -> list[Ring]:
        """Send queue by queue where the broker answers and yet refuses; returns what an outage left over.

        One queue that it refuses must not keep the rings of all others for
        ever. The refused ones are let go: the stager rings again.
        """
        queues = dict.fromkeys(ring.queue for ring in batch)
        for done, queue in enumerate(queues):
            of_queue = [ring for ring in batch if ring.queue == queue]
            try:
                line.send(of_queue)
            except Exception as error:  # noqa: BLE001 -- as in `_run`
                line.hang_up()
                if not line.is_refused:
                    unsent = list(queues)[done:]
                    return [ring for ring in batch if ring.queue in unsent]
                self._dropped += len(of_queue)
                _log.warning("the broker refuses rings for queue %r: %s", queue, type(error).__name__)
        return []

    def _next_batch(self, line: "_Line") -> list[Ring]:
        """Wait for rings and take some; an empty list says that the doorbell is closed."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                if not self._changed.wait(_IDLE_CHECK_SECONDS) and not self._waiting:
                    line.stay_alive()
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._sending = len(batch)
            return batch

    def _keep(self, batch: list[Ring]) -> None:
        with self._changed:
            self._sending = 0
            if self._is_closed:
                self._dropped += len(batch)
                return
            room = (self._waiting.maxlen or 0) - len(self._waiting)
            kept = batch[max(0, len(batch) - room) :]
            self._dropped += len(batch) - len(kept)
            self._waiting.extendleft(reversed(kept))

    def _sent(self) -> None:
        with self._changed:
            self._sending = 0
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        with self._changed:
            while not self._is_closed and (left := ends_at - time.monotonic()) > 0:
                self._changed.wait(left)


def _is_for_a_while(error: BaseException | None) -> bool:
    # What is sent in bulk is wrapped.
    return error is not None and (isinstance(error, _FOR_A_WHILE) or _is_for_a_while(error.__cause__))


class SilentBell:
    """Rings nothing: for a producer whose broker does not run. The stager of the next worker rings."""

    def ring(self, rings: Sequence[Ring]) -> None:
        """Do nothing."""

    def close(self, timeout_seconds: float = FLUSH_ON_CLOSE_SECONDS) -> None:
        """Do nothing."""


class _Line:
    """One connection to the broker, made when needed; used by the doorbell's thread only."""

    def __init__(self, app: Celery, ledger_id: str, queue_prefix: str, *, quorum: bool) -> None:
        self._app = app
        self._ledger_id = ledger_id
        self._queue_prefix = queue_prefix
        self._quorum = quorum
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._declared: set[str] = set()
        self.is_refused = False
        """After a send that failed: whether the broker had just taken a new connection for it."""

    def send(self, rings: Sequence[Ring]) -> None:
        """Publish in order. Raises whatever the transport raises; then all of them may be sent again."""
        self.is_refused = False
        producer = self._producer
        if producer is None:
            producer = self._connect()
            self.is_refused = True
        for ring in rings:
            self._declare(ring.queue, producer)
        with cast("AbstractContextManager[object]", producer.batch()):  # type: ignore[attr-defined]  # newer than the stubs
            for ring in rings:
                producer.publish(
                    _BODY,
                    routing_key=self._queue_prefix + ring.queue,
                    headers=ring_headers(ring, self._ledger_id),
                    content_type="application/json",
                    content_encoding="utf-8",
                    correlation_id=ring.job_id,
                    delivery_mode=2,
                )

    def stay_alive(self) -> None:
        """Keep an idle connection's heartbeat going; hang up if it is dead."""
        if self._connection is None or not self._connection.supports_heartbeats:
            return
        try:
            self._connection.heartbeat_check()
        except Exception:  # noqa: BLE001 -- a dead idle connection is no news; the next ring makes a new one
            self.hang_up()

    def hang_up(self) -> None:
        """Let the connection go."""
        connection, self._connection, self._producer = self._connection, None, None
        self._declared.clear()
        if connection is None:
            return
        try:
            connection.release()
        except Exception as error:  # noqa: BLE001 -- it is being thrown away
            _log.debug("the doorbell's connection did not close cleanly: %s", error)

    def _connect(self) -> Producer:
        # Each transport takes those it knows; what the configuration says wins.
        options: dict[str, Any] = {
            "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": _SOCKET_TIMEOUT_SECONDS,
            "read_timeout": _SOCKET_TIMEOUT_SECONDS,
            "write_timeout": _SOCKET_TIMEOUT_SECONDS,
            "confirm_publish": True,
            **(self._app.conf.broker_transport_options or {}),
        }
        self._connection = self._app.connection_for_write(
            heartbeat=_HEARTBEAT_SECONDS, connect_timeout=_SOCKET_TIMEOUT_SECONDS, transport_options=options
        )
        self._connection.connect()
        self._producer = Producer(self._connection.channel(), auto_declare=False)
        return self._producer

    def _declare(self, queue: str, producer: Producer) -> None:
        # The default exchange drops what it cannot route, so the queue has to be there first.
        if queue in self._declared:
            return
        ring_queue(self._queue_prefix + queue, quorum=self._quorum).bind(
            cast("StdChannel", producer.channel)
        ).declare()
        self._declared.add(queue)


class _Outage:
    """Counts failures in a row: how long to pause, and whether it has been said."""

    def __init__(self) -> None:
        self.pause_seconds = 0.0

    def goes_on(self, error: Exception) -> None:
        """Note one more failure."""
        if not self.pause_seconds:
            _log.warning(
                "the broker does not take rings (%s); jobs are safe in the ledger", type(error).__name__
            )
        self.pause_seconds = min(max(self.pause_seconds * 2, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)

    def is_over(self) -> None:
        """Note a success."""
        if self.pause_seconds:
            _log.info("the broker takes rings again")
        self.pause_seconds = 0.0
