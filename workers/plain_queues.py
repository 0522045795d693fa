"""The queues of plain Celery tasks, the health ping's among them, on a channel of their own.

A full worker takes no more rings, and must still answer a ping: the two
cannot share a channel, since it is the channel that stops being read.
"""

from typing import Any

from celery import bootsteps
from kombu import Consumer
from kombu.common import ignore_errors


class PlainQueues(bootsteps.StartStopStep):
    """Consumes what `HoldfastConsumer.plain_queues` names; begins anew after each reconnect."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        """Start without a consumer."""
        super().__init__(parent, **kwargs)
        self._consumer: Any = None

    def start(self, parent: Any) -> None:
        """Consume, through the same guarded handler as the rings."""
        self._consumer = Consumer(
            parent.connection.channel(),
            [parent.app.amqp.queues[name] for name in parent.plain_queues],
            accept=parent.app.conf.accept_content,
            on_message=parent.create_task_handler(),
            on_decode_error=parent.on_decode_error,
        )
        self._consumer.qos(prefetch_count=parent.initial_prefetch_count)
        self._consumer.consume()

    def stop(self, parent: Any) -> None:
        """Take no more messages."""
        if self._consumer is not None:
            ignore_errors(parent, self._consumer.cancel)

    def shutdown(self, parent: Any) -> None:
        """Close the channel."""
        self.stop(parent)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            ignore_errors(parent, consumer.close)
