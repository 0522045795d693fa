"""Plain Celery tasks that arrive at the intake go on to the queue where Celery's own tracer runs them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from celery import Celery

from holdfast.jobs.errors import BrokerUnavailable
from holdfast.tasks.registry import Registry

_KEPT: Final = ("correlation_id", "reply_to", "priority")


def forwarder(app: Celery, registry: Registry, queue: str) -> Callable[[Any], bool]:
    """Return a function that forwards a message if it is for a plain task of this application.

    It raises BrokerUnavailable when the message could not be handed over: keep
    it and come again. What Celery promises of such a message is Celery's
    promise; only our own tasks are jobs.
    """

    def forward(message: Any) -> bool:
        name = (message.headers or {}).get("task")
        if not isinstance(name, str) or name in registry or name not in app.tasks:
            return False
        properties: Mapping[str, Any] = message.properties or {}
        options = {key: properties[key] for key in _KEPT if properties.get(key) is not None}
        try:
            with app.connection_for_write() as connection, connection.Producer() as producer:
                producer.publish(
                    message.body,
                    exchange="",
                    routing_key=queue,
                    # A broker that lost its data drops what it cannot route, and says nothing.
                    declare=[app.amqp.queues[queue]],
                    headers=dict(message.headers),
                    content_type=message.content_type,
                    content_encoding=message.content_encoding,
                    **options,
                )
        except Exception as error:
            raise BrokerUnavailable(detail=f"could not forward {name}") from error
        return True

    return forward
