"""The connection that a worker's events go over; a real one falls silent in `make outages`."""

from celery import Celery

from holdfast.workers.consumer import HoldfastConsumer


def test_no_event_is_waited_for():
    """All else that is published on RabbitMQ is confirmed; an event would stop the hub if it were."""
    app = Celery(broker="amqp://127.0.0.1:1//", set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True, "read_timeout": 7}
    consumer = HoldfastConsumer.__new__(HoldfastConsumer)
    consumer.app = app
    consumer.ensure_connected = lambda connection: connection
    for_events = consumer.connection_for_write(heartbeat=5)
    assert {"confirm_publish": False, "read_timeout": 7} == for_events.transport_options
    assert 5 == for_events.heartbeat
    assert app.connection_for_write().transport_options["confirm_publish"]
