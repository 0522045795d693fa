"""The epoch watch: it finds out that the broker has lost its data.

The ledger holds the current epoch; the broker holds a witness of it. A broker
without the witness has lost what it had, so a new epoch begins and every
waiting job is due to ring (B10). It is a level: a leader that dies between
the two steps leaves nothing undone.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from celery import Celery
from kombu import Connection, Exchange, Queue

from holdfast.jobs.events import EpochChanged, Events
from holdfast.ledger import Ledger


class Witness(Protocol):
    """The broker's memory of an epoch. Both raise whatever the transport raises."""

    def remembers(self, connection: Connection, epoch: str) -> bool:
        """Tell whether the broker still knows this epoch."""
        ...

    def remember(self, connection: Connection, epoch: str) -> None:
        """Let the broker know it."""
        ...


class RedisWitness:
    """A key that holds the epoch."""

    def __init__(self, key: str) -> None:
        """Use this key; it names the ledger."""
        self._key = key

    def remembers(self, connection: Connection, epoch: str) -> bool:
        """Read the key."""
        value = _channel(connection).client.get(self._key)
        return (value.decode("ascii", "replace") if isinstance(value, bytes) else value) == epoch

    def remember(self, connection: Connection, epoch: str) -> None:
        """Write the key."""
        _channel(connection).client.set(self._key, epoch)


class QueueWitness:
    """A durable, uniquely named, always empty queue: RabbitMQ has no keys."""

    def __init__(self, prefix: str) -> None:
        """Name the queues with this prefix; it names the ledger."""
        self._prefix = prefix

    def remembers(self, connection: Connection, epoch: str) -> bool:
        """Look for the queue without making it."""
        channel: Any = connection.channel()
        try:
            channel.queue_declare(queue=self._prefix + epoch, passive=True)
        except connection.channel_errors:
            return False
        channel.close()
        return True

    def remember(self, connection: Connection, epoch: str) -> None:
        """Make the queue; it goes away by itself when it was not used for a month."""
        month_seconds = 30 * 24 * 3600.0
        queue = Queue(self._prefix + epoch, Exchange(""), durable=True, expires=month_seconds)
        queue.bind(connection.default_channel).declare()


class EpochWatch:
    """Keeps the ledger's epoch and the broker's witness the same.

    Runs on a thread of its own, since a frozen broker makes it wait for its
    socket timeout.
    """

    name = "epoch"

    def __init__(
        self,
        app: Celery,
        ledger: Ledger,
        witness: Witness,
        *,
        events: Events,
        on_contact: Callable[[], object],
        pause_seconds: float,
    ) -> None:
        """Watch; `on_contact` is told each time the broker answered."""
        self._app = app
        self._ledger = ledger
        self._witness = witness
        self._events = events
        self._on_contact = on_contact
        self._connection: Connection | None = None
        self.current: str | None = None
        """The epoch, None until it is known."""
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Compare once."""
        epoch = self._ledger.epoch()
        try:
            connection = self._connected()
            if not self._witness.remembers(connection, epoch):
                now = self._ledger.new_epoch(epoch)
                if now == self.current:
                    # Lost again within the minute in which the epoch may not change: the witness
                    # stays away, so that the next looks ask again and this loss is not forgotten.
                    self._on_contact()
                    return False
                self._witness.remember(connection, now)
                # At the first look nobody knows whether there was anything to lose.
                if now != epoch and self.current is not None:
                    self._events.emit(EpochChanged(epoch=now))
                epoch = now
        except Exception:  # noqa: BLE001 -- each transport has its own errors; the consumer reports the outage
            self._hang_up()
            return False
        self.current = epoch
        self._on_contact()
        return False

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._app.connection_for_write(connect_timeout=2.0)
        self._connection.ensure_connection(max_retries=1, timeout=2)
        return self._connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _let_go(connection)


def _channel(connection: Connection) -> Any:
    return connection.default_channel


def _let_go(connection: Connection) -> None:
    # It is broken: whatever it says when it is closed is no news.
    with contextlib.suppress(Exception):
        connection.release()
