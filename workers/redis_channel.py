"""Redis as a doorbell: a transport that keeps its unacknowledged set in memory.

A lost ring is harmless, so nothing is written to Redis per message. That is
also what keeps the worker alive: with the stock class, a broker that goes
away while a pop is in flight and anything is unacknowledged ends the process
(the stock class restores its set through a connection that is gone).
"""

from collections.abc import Callable
from queue import Empty
from typing import Any, ClassVar, cast

from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import RedisError

from holdfast.workers.kept import LARGEST_MESSAGE_BYTES

RawReader = Callable[[str, bytes, Exception], None]


def _always() -> bool:
    return True


class RingQoS(stock.QoS):
    """The messages that this process holds, and nowhere else.

    `has_room` decides, besides the prefetch window, whether another message
    may be popped: a worker without a free slot hoards no rings (B29).
    """

    restore_at_shutdown = False
    has_room: Callable[[], bool] = staticmethod(_always)

    def can_consume(self) -> bool:
        """Tell whether the poller may pop another message."""
        return self.has_room() and bool(super().can_consume())

    def append(self, message: Any, delivery_tag: str) -> None:
        """Hold a message until it is acknowledged."""
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Let a message go."""
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 -- kombu's signature
        """Let a message go, and push it back to its queue if asked to."""
        message = self._held.get(delivery_tag)
        if requeue and message is not None:
            virtual.Channel._restore(self.channel, message)  # noqa: SLF001 -- the stock Redis one reads a hash that we do not write
        virtual.QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Forget what a lost connection held: the stager rings again."""
        del client
        self._held.clear()

    @property
    def _held(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._delivered)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: no visibility timeout has a meaning here."""


class GuardedChannel(stock.Channel):
    """A channel that no message can break: what cannot be read is handed to `on_unreadable` raw."""

    connection_errors: tuple[type[BaseException], ...]
    _queue_cycle: Any
    _flush_brpop_reauth: Callable[[], None]
    on_unreadable: ClassVar[RawReader | None] = None
    largest_bytes: ClassVar[int] = LARGEST_MESSAGE_BYTES
    """A larger message is not looked into."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            reply = self._pop_reply(options)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not reply:
            raise Empty
        key, item = reply
        queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        try:
            self._hand_on(queue, self._parsed(queue, item))
        except (OSError, RedisError):
            raise
        except Exception as error:  # noqa: BLE001 -- any shape of garbage; KeyError would even count as a lost connection
            self._put_aside(queue, item, error)
        return True

    def _parsed(self, queue: str, item: bytes | str) -> Any:
        if len(item) > self.largest_bytes:
            raise ValueError(f"{len(item)} bytes, at most {self.largest_bytes}")
        # kombu's own reading would put a replacement character in the place of each strange byte.
        message = loads(item.decode("utf-8") if isinstance(item, bytes) else item)
        _check_envelope(message)
        _name_its_queue(message, queue)
        return message

    def _hand_on(self, queue: str, message: Any) -> None:
        try:
            self.connection._deliver(message, queue)  # noqa: SLF001 -- the only way to the consumer
        except (OSError, RedisError):
            raise
        except Exception:
            # Received, and then tripped over: a window full of such messages would take no others any more.
            self.qos.ack(message["properties"]["delivery_tag"])
            raise

    def _pop_reply(self, options: dict[str, Any]) -> Any:
        connection = self.client.connection
        try:
            return self.client.parse_response(connection, "BRPOP", **options)
        except self.connection_errors:
            # So that the next turn of the loop connects anew.
            connection.disconnect()
            raise

    def _put_aside(self, queue: str, item: bytes | str, error: Exception) -> None:
        raw = item if isinstance(item, bytes) else item.encode("utf-8", "surrogateescape")
        # Through the class: as an attribute of the channel the function would become its method.
        on_unreadable = type(self).on_unreadable
        if on_unreadable is not None:
            on_unreadable(queue, raw, error)


class Channel(GuardedChannel):
    """The channel of rings: guarded, and with its unacknowledged set in memory."""

    QoS = RingQoS


class Transport(stock.Transport):
    """The transport of rings."""

    Channel = Channel


class IntakeTransport(stock.Transport):
    """The transport of the intake: guarded, and with kombu's durable acknowledgement."""

    Channel = GuardedChannel


def _name_its_queue(message: Any, queue: str) -> None:
    # Where it really was, whatever its sender wrote: that is where it is put back, and what the quarantine
    # shows. kombu puts nothing back that has no headers.
    message["headers"] = message.get("headers") or {}
    info = message["properties"]["delivery_info"]
    message["properties"]["delivery_info"] = {**info, "exchange": "", "routing_key": queue}


def _check_envelope(message: Any) -> None:
    # kombu reads these without looking, outside of anything that catches.
    if not isinstance(message, dict):
        raise TypeError("the envelope is no object")
    properties = message["properties"]
    if not isinstance(properties["delivery_tag"], str):
        raise TypeError("properties.delivery_tag is no text")
    if not isinstance(properties["delivery_info"], dict):
        raise TypeError("properties.delivery_info is no object")
    if not isinstance(message.get("headers") or {}, dict):
        raise TypeError("headers is no object")
    body = message.get("body")
    if not isinstance(body, str | None):
        raise TypeError("body is no text")
    if properties.get("body_encoding") not in (None, "base64"):
        raise ValueError("properties.body_encoding is unknown")
