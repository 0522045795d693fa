"""Any message, through a real broker into a running worker: it lives and works on, and the books balance."""

import contextlib
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kombu import Connection

from holdfast.tests.support import sample_tasks
from holdfast.tests.support.books import Books
from holdfast.tests.support.messages import INTAKE, PLAIN, RINGS
from holdfast.tests.support.mutations import Fuzzer
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import RabbitMQServer, RedisServer
from holdfast.tests.support.waiting import until

SEED = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(2**32))
CANARY_EVERY = 200
CANARY_SECONDS = 5.0
BACKLOG = 1000
"""Messages that may wait: what is sent faster than it is written would say little about the canaries."""
LOST_CONNECTION = ("Re-establishing", "Trying to reconnect")
LOUD = {"log_format": "json", "log_level": "debug"}

Send = Callable[[Fuzzer], str]


@pytest.fixture
def rabbit(sqlite_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on a RabbitMQ of its own, and SQLite."""
    with (
        RabbitMQServer() as server,
        platform(tmp_path, broker_url=server.url, database_url=sqlite_url) as made,
    ):
        yield made


@pytest.mark.timeout(60)
def test_some_hundred_messages_through_redis(embedded: Platform, own_redis: RedisServer):
    """The same process goes on, every canary is done in time, and each message is accounted for."""
    with _over_redis(own_redis) as send:
        _attack(embedded, send, 600)


@pytest.mark.hunt
@pytest.mark.timeout(1200)
def test_ten_thousand_messages_through_redis(embedded: Platform, own_redis: RedisServer):
    """The same, for as long as it takes to believe it."""
    with _over_redis(own_redis) as send:
        _attack(embedded, send, 10_000)


@pytest.mark.slow
@pytest.mark.rabbitmq
@pytest.mark.timeout(600)
def test_a_thousand_messages_through_rabbitmq(rabbit: Platform):
    """Headers, properties and bodies as strange as RabbitMQ lets them through."""
    with _over_rabbitmq(rabbit) as send:
        _attack(rabbit, send, 1000)


@contextlib.contextmanager
def _over_redis(server: RedisServer) -> Iterator[Send]:
    with server.client() as client:

        def send(fuzzer: Fuzzer) -> str:
            message = fuzzer.redis()
            client.lpush(message.queue, message.raw)
            return message.kind

        yield send
        until(
            lambda: not client.exists(RINGS, INTAKE, PLAIN, "unacked", "unacked_index"),
            what="empty queues, and nothing unacknowledged",
        )


@contextlib.contextmanager
def _over_rabbitmq(rabbit: Platform) -> Iterator[Send]:
    with Connection(rabbit.broker_url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()

        def send(fuzzer: Fuzzer) -> str:
            kind, queue, message = fuzzer.amqp()
            channel.basic_publish(message, exchange="", routing_key=queue)
            return kind

        yield send
        for queue in (RINGS, INTAKE, PLAIN):
            until(lambda name=queue: channel.queue_declare(name, passive=True).message_count == 0, what=queue)


def _attack(target: Platform, send: Send, count: int) -> None:
    print(f"\nFUZZ_SEED={SEED}: {count} messages")  # noqa: T201 -- to be repeated with it
    worker = target.worker(**LOUD)
    pid, began = worker.pid, time.monotonic()
    fuzzer, books = Fuzzer(SEED, target.ledger.ledger_id), Books(target, worker)
    sent: Counter[str] = Counter()
    slowest = 0.0
    for number in range(1, count + 1):
        sent[send(fuzzer)] += 1
        if number % CANARY_EVERY == 0:
            slowest = max(slowest, _canary(number))
            _until_entered(books, number - BACKLOG)
    _until_entered(books, count)
    slowest = max(slowest, _canary(count))
    outcomes, seconds = books.outcomes(), time.monotonic() - began
    print(f"sent {sent.total()}: {dict(sent)}")  # noqa: T201 -- the report of the run
    print(f"became {outcomes.total()}: {dict(outcomes)}; {seconds:.1f} s, slowest canary {slowest:.2f} s")  # noqa: T201 -- the same
    assert worker.is_running
    assert pid == worker.pid
    # What comes again after a lost connection is counted again.
    assert [] == [words for words in LOST_CONNECTION if words in worker.log]
    assert count == outcomes.total(), f"FUZZ_SEED={SEED}: {outcomes}; more than once: {books.told_again}"


def _until_entered(books: Books, count: int) -> None:
    with contextlib.suppress(AssertionError):
        until(lambda: books.told() >= count, timeout_seconds=60)
    outcomes = books.outcomes()
    assert count <= outcomes.total(), f"FUZZ_SEED={SEED}: of {count} messages came {outcomes}"


def _canary(number: int) -> float:
    began = time.monotonic()
    canary = sample_tasks.echo.enqueue_sync(f"canary {number}")
    said = canary.result_sync(timeout_seconds=CANARY_SECONDS)
    assert f"canary {number}" == said
    return time.monotonic() - began
