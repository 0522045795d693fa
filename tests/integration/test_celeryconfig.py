"""Celery's configuration beside real brokers."""

from contextlib import suppress
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Producer

from holdfast import celeryconfig
from holdfast.cli.doctor.broker import look_at_broker
from holdfast.settings import Settings
from holdfast.tasks import Registry
from holdfast.tests.support.waiting import until
from holdfast.workers.forwarding import forwarder


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


def drain(connection: Connection) -> None:
    """Read what is there, if anything comes."""
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.2)


def take(connection: Connection, queue, count: int = 1) -> list[Any]:
    """Read so many messages from a queue."""
    taken: list[Any] = []

    def keep(body, message) -> None:
        taken.append(body)
        message.ack()

    def look() -> list[Any]:
        drain(connection)
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


def test_what_goes_on_to_the_plain_queue_arrives_before_anybody_reads_it(broker_url):
    """On a broker that lost its data the intake may be back before the plain queue is."""
    settings = Settings(broker_url=broker_url, namespace="wiped")
    names = settings.names
    with app_for(settings) as app, app.connection_for_write() as connection:
        app.task(name="some.plain.task")(drain)
        app.send_task("some.plain.task", kwargs={"a": 1}, queue=names.intake_queue)
        connection.default_channel.queue_delete(names.plain_queue)
        forward = forwarder(app, Registry(), names.plain_queue)
        forwarded: list[bool] = []

        def go_on(message: Any) -> None:
            forwarded.append(forward(message))

        with Consumer(connection.channel(), [app.amqp.queues[names.intake_queue]], on_message=go_on):
            until(lambda: drain(connection) or forwarded, what="the message at the intake")
        assert [True] == forwarded
        assert {"a": 1} == take(connection, app.amqp.queues[names.plain_queue])[0][1]


def test_the_doctor_knows_the_broker(broker_url):
    """Reachable, and by which version."""
    verdict = next(iter(look_at_broker(Settings(broker_url=broker_url))))
    assert "ok" == verdict.level
    assert verdict.found.startswith(("Redis", "Valkey", "RabbitMQ"))
