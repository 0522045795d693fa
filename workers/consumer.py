"""Celery's consumer, guarded: no message, whatever its bytes, ends or wedges the worker.

A bad message is written to the quarantine first and rejected after; both
happen away from the hub's thread, so a slow database does not stop the loop.
"""

import logging
from collections.abc import Callable
from typing import Any, ClassVar, Final

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.common import ignore_errors

from holdfast.jobs.state import QuarantineReason
from holdfast.workers.kept import check_size, said_of
from holdfast.workers.plain_queues import PlainQueues
from holdfast.workers.redis_channel import GuardedChannel, RingQoS
from holdfast.workers.task_headers import check_headers

_log: Final = logging.getLogger(__name__)
_LONGEST_DETAIL: Final = 500
_FIRST_PAUSE_SECONDS: Final = 0.25


_StockBlueprint: Any = Consumer.Blueprint
_DELAYED_DELIVERY: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class HoldfastConsumer(Consumer):
    """The consumer of rings and of plain Celery messages.

    Differs from the stock one in four ways: the prefetch window is small and
    fixed, gossip and mingle are off, whatever goes wrong with a message ends
    in the quarantine, and a cold shutdown hands jobs back instead of
    cancelling them.
    """

    class Blueprint(_StockBlueprint):  # type: ignore[misc]  # the stubs call it a variable
        """The stock steps, but for delays that no message of ours has; and one of our own."""

        default_steps: ClassVar[list[object]] = [
            *(step for step in _StockBlueprint.default_steps if step != _DELAYED_DELIVERY),
            PlainQueues,
        ]

    connection_errors: tuple[type[BaseException], ...]
    task_consumer: Any
    event_dispatcher: Any
    connection: Any
    call_soon_ack: Callable[..., object]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take Celery's arguments; the window comes from our pool."""
        kwargs["initial_prefetch_count"] = kwargs["pool"].ring_window
        # Gossip and mingle are command line flags for which no setting exists. Neither serves the ledger,
        # and gossip fills the log with tracebacks each time the broker goes away.
        kwargs["without_gossip"] = True
        kwargs["without_mingle"] = True
        self._has_paused = False
        self.plain_queues: tuple[str, ...] = kwargs["app"].plain_queues
        kwargs["app"].amqp.queues.deselect(self.plain_queues)
        super().__init__(*args, **kwargs)

    @property
    def max_prefetch_count(self) -> int:
        """Return the window, which does not grow with the slots."""
        return int(self.pool.ring_window)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, trying for ever with short pauses; Celery's own grow to half a minute."""

        def tell(error: BaseException, pause_seconds: float) -> None:
            _log.warning("the broker does not answer (%r); next try in %.1f s", error, pause_seconds)

        conn.ensure_connection(
            tell,
            interval_start=_FIRST_PAUSE_SECONDS,
            interval_step=_FIRST_PAUSE_SECONDS,
            interval_max=self.pool.runtime.config.reconnect_longest_seconds,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        return conn

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Wrap the stock handler so that nothing but a lost connection leaves it."""
        take = super().create_task_handler(*args, **kwargs)

        def take_guarded(message: Any) -> None:
            try:
                check_size(message, GuardedChannel.largest_bytes)
                _check_shape(message)
                if self._is_for_celery(message.headers.get("task")):
                    check_headers(message.headers)
                take(message)
            except KeyError as error:
                # kombu counts KeyError among the lost connections, and would reconnect for ever.
                self._put_aside(message, QuarantineReason.UNDECODABLE, f"missing {error}")
            except self.connection_errors:
                raise
            except Exception as error:  # noqa: BLE001 -- a message may be wrong in more ways than anyone can list
                self._put_aside(message, QuarantineReason.UNDECODABLE, said_of(error))

        return take_guarded

    def on_ready(self) -> None:
        """Tell Celery, and our runtime."""
        super().on_ready()
        self._has_paused = False
        runtime, channel_qos = self.pool.runtime, getattr(self.task_consumer.channel, "qos", None)
        if isinstance(channel_qos, RingQoS):
            channel_qos.has_room = runtime.gate.has_room
        runtime.hub.use_dispatcher(lambda: self.event_dispatcher)
        runtime.on_ready(self)

    def connection_for_write(self, url: str | None = None, heartbeat: float | None = None) -> Any:
        """Connect for worker events, which Celery sends on the hub's thread: none of them is waited for.

        Confirmed, the first one over a connection that hears nothing ever again would stop the hub for good.
        """
        unconfirmed = {"confirm_publish": False}
        connect = self.app.connection_for_write
        return self.ensure_connected(connect(url=url, heartbeat=heartbeat, transport_options=unconfirmed))

    def pause_rings(self) -> None:
        """Stop consuming rings on brokers that push; Redis is asked, and the gate says when. On the hub."""
        if not self._has_paused and self.task_consumer and _pushes(self.task_consumer.channel):
            self._has_paused = True
            ignore_errors(self.connection, self.task_consumer.cancel)

    def resume_rings(self) -> None:
        """Consume rings again. On the hub."""
        if self._has_paused and self.task_consumer:
            self._has_paused = False
            self.task_consumer.consume()

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Quarantine what is no task message at all."""
        del body
        self._put_aside(message, QuarantineReason.UNDECODABLE, "not a Celery task message")

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Let a ring for a task that we do not know go, and quarantine anything else."""
        del body, exc
        self.pool.runtime.strays.take_unknown_task(message, self._rejecter(message))

    def on_invalid_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Quarantine a message whose headers or body make no task."""
        del body
        self._put_aside(message, QuarantineReason.UNDECODABLE, repr(exc))

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """Quarantine a message whose body cannot be read; pickle is refused here."""
        self._put_aside(message, QuarantineReason.UNDECODABLE, repr(exc))

    def cancel_active_requests(self) -> None:
        """Begin to drain: a cold shutdown hands jobs back, it does not cancel them."""
        self.pool.begin_drain()

    def _put_aside(self, message: Any, reason: QuarantineReason, detail: str) -> None:
        self.pool.runtime.strays.put_aside(message, reason, detail[:_LONGEST_DETAIL], self._rejecter(message))

    def _is_for_celery(self, task: Any) -> bool:
        app: Any = self.app
        return task in app.tasks and task not in app.registry

    def _rejecter(self, message: Any) -> Callable[[], object]:
        return lambda: self.call_soon_ack(message.reject_log_error, _log, self.connection_errors)


def _pushes(channel: Any) -> bool:
    return not isinstance(getattr(channel, "qos", None), RingQoS)


def _check_shape(message: Any) -> None:
    headers = message.headers
    if not isinstance(headers, dict):
        raise TypeError("headers is no object")
    if "task" in headers and not isinstance(headers["task"], str):
        raise TypeError("the task header is no text")
    if "task" in headers and not isinstance(headers.get("id"), str):
        raise TypeError("the id header is no text")
    if message.content_type not in (None, "application/json"):
        raise TypeError(f"content type {message.content_type!r}: only JSON is accepted")
    if "task" in headers:
        _check_body(message.payload)


def _check_body(payload: Any) -> None:
    # A body of another shape ends the stock worker, or runs with arguments that nobody sent.
    if isinstance(payload, dict) and "args" in payload:
        return
    match payload:
        case [list(), dict(), dict() | None]:
            return
        case _:
            raise TypeError("the body is no list of arguments, keywords and embeds")
