"""The doorbell against a real broker that stops, freezes and comes back."""

import base64
import json
import logging
import time
from collections.abc import Iterator

import pytest

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Ring
from holdfast.tasks.application import make_app
from holdfast.tasks.doorbell import Doorbell
from holdfast.tests.support.servers import RabbitMQServer, RedisServer
from holdfast.tests.support.waiting import until

LEDGER_ID = "ledger-1"
CALLER_MAY_WAIT_SECONDS = 0.9  # a blocked caller would wait for the socket, a second at least


def rings(count: int, first: int = 0) -> list[Ring]:
    """Rings for so many jobs."""
    return [Ring(JobId(f"job-{number}"), "shop.order", "default") for number in range(first, first + count)]


def a_doorbell(url: str, **options) -> Doorbell:
    """A doorbell before this broker."""
    app = make_app("test", {"broker_url": url, "broker_transport_options": {"socket_timeout": 1.0}})
    return Doorbell(app, ledger_id=LEDGER_ID, queue_prefix="holdfast.", quorum=False, **options)


def on_the_queue(server: RedisServer) -> list[str]:
    """The job ids on the queue, oldest first."""
    with server.client() as client:
        return [
            json.loads(raw)["headers"]["id"] for raw in reversed(client.lrange("holdfast.default", 0, -1))
        ]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A redis-server that this test may stop and freeze."""
    with RedisServer() as server:
        yield server


def test_a_ring_is_a_celery_message_that_carries_nothing(redis_server, redis_url):
    """The broker sees the task's name and the job's id, and no argument."""
    doorbell = a_doorbell(redis_url)

    doorbell.ring(rings(1))

    assert doorbell.flush(5)
    doorbell.close()
    with redis_server.client() as client:
        envelope = json.loads(client.lindex("holdfast.default", 0))
    assert {
        "lang": "py",
        "task": "shop.order",
        "id": "job-0",
        "root_id": "job-0",
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "holdfast",
        "ignore_result": False,
        "holdfast": {"ring": 1, "ledger": LEDGER_ID},
    } == envelope["headers"]
    assert [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}] == json.loads(
        base64.b64decode(envelope["body"])
    )
    assert "job-0" == envelope["properties"]["correlation_id"]
    assert "application/json" == envelope["content-type"]


def test_a_stock_celery_worker_can_read_a_ring(redis_url):
    """The message is a normal one: kombu decodes it, and the task protocol finds its three parts."""
    doorbell = a_doorbell(redis_url)
    doorbell.ring(rings(1))
    assert doorbell.flush(5)
    app = make_app("reader", {"broker_url": redis_url})

    with app.connection_for_read() as connection, connection.SimpleQueue("holdfast.default") as queue:
        message = queue.get(timeout=5)
        message.ack()

    assert 3 == len(message.payload)
    doorbell.close()


def test_ten_thousand_rings_arrive_in_order(redis_server, redis_url):
    """Bulk enqueue rings in bulk."""
    doorbell = a_doorbell(redis_url)

    doorbell.ring(rings(10_000))
    assert doorbell.flush(20)

    assert [f"job-{number}" for number in range(10_000)] == on_the_queue(redis_server)
    doorbell.close()


def test_a_stopped_broker_slows_nobody_and_hears_the_rings_later(own_redis, caplog):
    """Rings wait while the broker is down; there is one line in the log per outage."""
    doorbell = a_doorbell(own_redis.url)
    doorbell.ring(rings(1))
    assert doorbell.flush(5)
    own_redis.stop()

    with caplog.at_level(logging.INFO, "holdfast.tasks.doorbell"):
        began = time.monotonic()
        for number in range(100):
            doorbell.ring(rings(1, first=number))
        assert time.monotonic() - began < CALLER_MAY_WAIT_SECONDS
        until(lambda: len(caplog.records) >= 1, what="the outage to be noticed")
        assert not doorbell.flush(0.3)
        own_redis.start()
        assert doorbell.flush(10)

    assert [f"job-{number}" for number in range(100)] == on_the_queue(own_redis)[-100:]
    assert ["WARNING", "INFO"] == [record.levelname for record in caplog.records]
    doorbell.close()


def test_a_frozen_broker_slows_nobody(own_redis):
    """A broker under SIGSTOP takes connections and never answers: enqueue and close stay quick."""
    doorbell = a_doorbell(own_redis.url)
    doorbell.ring(rings(1))
    assert doorbell.flush(5)
    own_redis.pause()
    try:
        began = time.monotonic()
        for number in range(100):
            doorbell.ring(rings(1, first=number))
        assert time.monotonic() - began < CALLER_MAY_WAIT_SECONDS
        assert not doorbell.flush(0.2)
    finally:
        own_redis.resume()

    assert doorbell.flush(15)
    assert {f"job-{number}" for number in range(100)} <= set(on_the_queue(own_redis))
    doorbell.close()


def test_closing_before_a_frozen_broker_takes_about_a_second(own_redis):
    """A program can end though the broker does not answer."""
    doorbell = a_doorbell(own_redis.url)
    own_redis.pause()
    try:
        doorbell.ring(rings(5))
        began = time.monotonic()
        doorbell.close()
        assert time.monotonic() - began < 5
        doorbell.close()
        doorbell.ring(rings(1))
    finally:
        own_redis.resume()

    assert doorbell.dropped >= 1


def test_a_full_line_drops_the_oldest(own_redis):
    """Memory is bounded; the stager rings for those that were dropped."""
    own_redis.stop()
    doorbell = a_doorbell(own_redis.url, capacity=10)

    doorbell.ring(rings(25))
    until(lambda: doorbell.dropped >= 15, what="rings to be dropped")
    own_redis.start()

    assert doorbell.flush(10)
    assert [f"job-{number}" for number in range(15, 25)] == on_the_queue(own_redis)
    assert 15 == doorbell.dropped
    doorbell.close()


def test_a_broker_that_was_restarted_while_nobody_rang_costs_no_ring(own_redis):
    """An idle connection that has died is replaced without a loss."""
    doorbell = a_doorbell(own_redis.url)
    doorbell.ring(rings(1))
    assert doorbell.flush(5)
    own_redis.restart()

    doorbell.ring(rings(1, first=7))

    assert doorbell.flush(5)
    assert ["job-7"] == on_the_queue(own_redis)
    doorbell.close()


def test_a_queue_that_the_broker_refuses_costs_no_other_queue_its_rings(own_redis, caplog):
    """A key of another type stands where a queue should be: its rings are let go, all others arrive."""
    with own_redis.client() as client:
        client.set("holdfast.broken", "no list")
    doorbell = a_doorbell(own_redis.url)
    bad = [Ring(JobId(f"bad-{number}"), "shop.order", "broken") for number in range(3)]

    with caplog.at_level(logging.WARNING, logger="holdfast.tasks.doorbell"):
        doorbell.ring([bad[0], *rings(5), *bad[1:]])
        until(lambda: len(on_the_queue(own_redis)) >= 5, what="the good rings")
        doorbell.ring(rings(2, first=5))
        until(lambda: len(on_the_queue(own_redis)) >= 7, what="the rings that came later")

    assert doorbell.flush(5)
    assert 3 == doorbell.dropped
    assert "queue 'broken'" in caplog.text
    doorbell.close()


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    ],
    ids=["read only", "full"],
)
def test_a_redis_that_takes_no_writes_for_a_while_hears_the_rings_later(own_redis, broken: str, mended: str):
    """READONLY and OOM are outages, and no refusal of one queue: no ring is let go."""
    doorbell = a_doorbell(own_redis.url)
    with own_redis.client() as client:
        client.execute_command(*broken.split())
        doorbell.ring(rings(3))
        assert not doorbell.flush(0.5)
        client.execute_command(*mended.split())
    assert doorbell.flush(10)
    assert 0 == doorbell.dropped
    assert ["job-0", "job-1", "job-2"] == on_the_queue(own_redis)
    doorbell.close()


def test_no_ring_is_no_work():
    """An empty list starts neither thread nor connection."""
    doorbell = a_doorbell("redis://127.0.0.1:1/0")

    doorbell.ring([])

    assert doorbell.flush(0)
    doorbell.close()


@pytest.mark.rabbitmq
def test_rings_reach_a_quorum_queue(rabbitmq_server: RabbitMQServer):
    """On RabbitMQ the queue is declared before the first ring, else it would vanish."""
    app = make_app("test", {"broker_url": rabbitmq_server.url})
    doorbell = Doorbell(app, ledger_id=LEDGER_ID, queue_prefix="rings.", quorum=True)

    doorbell.ring(rings(3))

    assert doorbell.flush(10)
    assert ["job-0", "job-1", "job-2"] == drain(app, "rings.default")
    doorbell.close()


@pytest.mark.rabbitmq
@pytest.mark.parametrize("fault", ["restarted", "frozen"])
def test_a_sick_rabbitmq_slows_nobody_and_hears_the_rings_later(fault):
    """A publish counts only when RabbitMQ has confirmed it."""
    with RabbitMQServer() as server:
        options = {"read_timeout": 2.0, "write_timeout": 2.0, "confirm_publish": True}
        app = make_app("test", {"broker_url": server.url, "broker_transport_options": options})
        doorbell = Doorbell(app, ledger_id=LEDGER_ID, queue_prefix="rings.", quorum=True)
        doorbell.ring(rings(1))
        assert doorbell.flush(10)

        server.stop() if fault == "restarted" else server.pause()
        began = time.monotonic()
        for number in range(100):
            doorbell.ring(rings(1, first=number))
        assert time.monotonic() - began < CALLER_MAY_WAIT_SECONDS
        assert not doorbell.flush(3.0)
        server.start() if fault == "restarted" else server.resume()

        assert doorbell.flush(30)
        assert {f"job-{number}" for number in range(100)} <= set(drain(app, "rings.default"))
        doorbell.close()


def drain(app, queue: str) -> list[str]:
    """Take the job ids of all rings off a queue."""
    with app.connection_for_read() as connection:
        channel = connection.channel()
        messages = iter(lambda: channel.basic_get(queue, no_ack=True), None)
        return [message.headers["id"] for message in messages]
