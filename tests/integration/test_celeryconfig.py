"""Celery's configuration beside real brokers."""

from contextlib import suppress

import pytest
from celery import Celery
from kombu import Connection, Consumer, Producer

from holdfast import celeryconfig
from holdfast.cli.doctor.broker import look_at_broker
from holdfast.settings import Settings
from holdfast.tests.support.waiting import until


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The address of a real broker, once of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return str(request.getfixturevalue("rabbitmq_server").url)


def app_for(settings: Settings) -> Celery:
    """An app with our configuration, which nobody else sees."""
    app = Celery("test", set_as_current=False)
    app.conf.update(celeryconfig.config(settings))
    return app


def take(connection: Connection, queue, count: int = 1) -> list[object]:
    """Read so many messages from a queue."""
    taken: list[object] = []

    def keep(body, message) -> None:
        taken.append(body)
        message.ack()

    def look() -> list[object]:
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.2)
        return taken[count - 1 :] and taken

    with Consumer(connection.channel(), [queue], callbacks=[keep], accept=["json"]):
        return until(look, what="a message")


def test_a_ring_goes_round(broker_url):
    """What is published to a ring queue is read from it."""
    with app_for(Settings(broker_url=broker_url, namespace="round")) as app:
        queue = app.amqp.queues["round.default"]
        with app.connection_for_write() as writing, app.connection_for_read() as reading:
            Producer(writing.default_channel).publish({"ring": 1}, routing_key=queue.name, declare=[queue])
            assert [{"ring": 1}] == take(reading, queue)


def test_two_namespaces_on_one_broker_do_not_meet(broker_url):
    """A ring of one namespace stays in it."""
    with (
        app_for(Settings(broker_url=broker_url, namespace="blue")) as blue,
        app_for(Settings(broker_url=broker_url, namespace="green")) as green,
        blue.connection_for_write() as blues,
        green.connection_for_read() as greens,
    ):
        for namespace, app in (("blue", blue), ("green", green)):
            queue = app.amqp.queues[f"{namespace}.default"]
            Producer(blues.default_channel).publish(
                {"for": namespace}, routing_key=queue.name, declare=[queue]
            )
        assert [{"for": "green"}] == take(greens, green.amqp.queues["green.default"])


def test_a_producer_that_knows_only_celery_reaches_the_intake(broker_url):
    """Its declaration of `celery` and ours agree, whoever comes first, and its message arrives."""
    with (
        app_for(Settings(broker_url=broker_url)) as ours,
        Celery("plain", broker=broker_url, set_as_current=False) as plain,
    ):
        for sender in (ours, plain, ours):
            sender.send_task("some.task", kwargs={"a": 1})
        with ours.connection_for_write() as connection:
            intake = ours.amqp.queues[Settings().names.intake_queue]
            bodies = take(connection, intake, count=3)
    assert [{"a": 1}] * 3 == [body[1] for body in bodies]


def test_the_doctor_knows_the_broker(broker_url):
    """Reachable, and by which version."""
    verdict = next(iter(look_at_broker(Settings(broker_url=broker_url))))
    assert "ok" == verdict.level
    assert verdict.found.startswith(("Redis", "Valkey", "RabbitMQ"))
