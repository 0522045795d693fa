"""The ping through real servers and a real worker, and with each part taken away."""

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest

from holdfast import celeryconfig
from holdfast.health import Status
from holdfast.ledger import LedgerConfig, connect
from holdfast.settings import Settings
from holdfast.tasks import results
from holdfast.tasks.application import make_app
from holdfast.tasks.doorbell import ring_queue
from holdfast.tasks.health import ping
from holdfast.tasks.round_trip import MOST_WAITING_PINGS
from holdfast.tests.support.migrated import migrated
from holdfast.tests.support.postgres import PostgresServer
from holdfast.tests.support.rabbitmq import RabbitMQServer
from holdfast.tests.support.redis import RedisServer
from holdfast.tests.support.worker import WorkerServer, worker_environment

QUEUE = "holdfast.health"
PASSWORD = "br0ker-pa55word"


class Platform:
    """Broker, database and the producer's side of the ping."""

    def __init__(self, folder, broker, database_url):
        self.folder = folder
        self.broker = broker
        self.database_url = database_url
        self.config = LedgerConfig(url=database_url, connect_timeout_seconds=1, pool_timeout_seconds=1)
        migrated(self.config)
        self.ledger = connect(self.config)
        self.app = make_app(
            "test-ping", celeryconfig.config(Settings(broker_url=broker.url, database_url=database_url))
        )
        results.use_ledger(lambda: self.ledger)

    def environment(self):
        """The settings of this platform."""
        return worker_environment(self.folder, broker_url=self.broker.url, database_url=self.database_url)

    def ping(self, timeout_seconds=10.0, ledger=None):
        """Make the round trip."""
        supplier = ledger or (lambda: self.ledger)
        return asyncio.run(ping(self.app, supplier, queue=QUEUE, timeout_seconds=timeout_seconds))

    def close(self):
        """Let the database go."""
        self.ledger.close()
        self.app.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A platform with a worker, on Redis and SQLite."""
    folder = tmp_path_factory.mktemp("ping")
    with RedisServer(password=PASSWORD) as redis:
        platform = Platform(folder, redis, f"sqlite:///{folder / 'ledger.sqlite3'}")
        with WorkerServer(platform.environment()):
            yield platform
        platform.close()


@pytest.fixture
def lonely(tmp_path):
    """A platform without a worker, on servers of its own."""
    with RedisServer(password=PASSWORD) as redis:
        platform = Platform(tmp_path, redis, f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
        yield platform
        platform.close()


def _statuses(report):
    return {name: part.status for name, part in report.components.items()}


def test_healthy_platform(running):
    """A round trip through a real worker is healthy, and its hops add up to the whole."""
    report = running.ping()
    assert Status.HEALTHY == report.status, report.as_json()
    assert {"database", "redis", "worker"} == set(report.components)
    hops = report.hops_ms
    assert hops["total"] == pytest.approx(
        hops["enqueue"] + hops["queue_wait"] + hops["run"] + hops["result"], abs=0.1
    )
    assert 0 < hops["database_read"] + hops["database_write"] <= hops["run"]
    assert "estimate" not in report.components["worker"].detail


def test_task_sent_by_hand_answers_with_a_report(running):
    """The task alone, sent as any Celery task and without our stamps, returns the report as JSON."""
    answer = running.app.send_task("health.ping", queue=ring_queue(QUEUE, quorum=False), expires=10)
    body = answer.get(timeout=10)
    assert "healthy" == body["status"]
    assert {"database", "redis", "worker"} == set(body["components"])
    for part in body["components"].values():
        assert {"status", "latency_ms", "detail"} == set(part)


def test_command_line(running, tmp_path):
    """`holdfast health --json` prints the report and exits with 0."""
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.entry", "health", "--json", "--timeout", "10"],
        env={**os.environ, **running.environment()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert {"status", "timestamp", "components", "hops_ms"} == set(json.loads(done.stdout))


def test_no_worker(lonely):
    """Without a worker broker and database are healthy, and the worker is not: nobody answered in time."""
    started = time.monotonic()
    report = lonely.ping(timeout_seconds=1.0)
    assert time.monotonic() - started < 10
    healthy, unhealthy = Status.HEALTHY, Status.UNHEALTHY
    assert {"database": healthy, "redis": healthy, "worker": unhealthy} == _statuses(report)
    assert "no worker answered within" in report.components["worker"].detail


@pytest.mark.parametrize("how", ["down", "frozen"])
def test_broker_away(lonely, how):
    """A broker that is down or frozen is reported within seconds, and the worker as not asked."""
    if how == "down":
        lonely.broker.kill()
    else:
        lonely.broker.pause()
    started = time.monotonic()
    report = lonely.ping(timeout_seconds=5.0)
    assert time.monotonic() - started < 10
    assert {
        "database": Status.HEALTHY,
        "redis": Status.UNHEALTHY,
        "worker": Status.DEGRADED,
    } == _statuses(report)
    assert "not asked" in report.components["worker"].detail
    assert PASSWORD not in json.dumps(report.as_json())
    if how == "frozen":
        lonely.broker.resume()


def test_wrong_password_is_told_without_it(lonely):
    """A broker that refuses us is unhealthy, and the password is not in the report."""
    lonely.app.conf.broker_write_url = lonely.broker.url.replace(PASSWORD, "wr0ng-pa55word")
    report = lonely.ping(timeout_seconds=2.0)
    assert Status.UNHEALTHY == report.components["redis"].status
    assert "wr0ng-pa55word" not in json.dumps(report.as_json())


def test_database_away(tmp_path):
    """A database that is down is reported, the broker as healthy and the worker as not asked."""
    with RedisServer() as redis, PostgresServer() as postgres:
        platform = Platform(tmp_path, redis, postgres.url_of(postgres.create_database()))
        postgres.kill()
        report = platform.ping(timeout_seconds=5.0)
        assert {
            "database": Status.UNHEALTHY,
            "redis": Status.HEALTHY,
            "worker": Status.DEGRADED,
        } == _statuses(report)
        assert "through the database" in report.components["worker"].detail
        report = platform.ping(timeout_seconds=5.0, ledger=lambda: connect(platform.config))
        assert Status.UNHEALTHY == report.components["database"].status
        platform.close()


def test_pings_without_a_worker_do_not_fill_the_broker(lonely):
    """Pings that nobody reads are thrown away in time."""
    queue = ring_queue(QUEUE, quorum=False)
    with lonely.app.connection_for_write() as connection, connection.channel() as channel:
        bound = queue(channel)
        bound.declare()
        for _ in range(MOST_WAITING_PINGS + 1):
            lonely.app.send_task("health.ping", queue=queue, connection=connection)
        lonely.ping(timeout_seconds=0.5)
        assert bound.queue_declare().message_count < MOST_WAITING_PINGS


@pytest.mark.rabbitmq
def test_rabbitmq(tmp_path):
    """The same round trip goes through RabbitMQ, under its own name; without it the worker is not asked."""
    with RabbitMQServer() as broker:
        platform = Platform(tmp_path, broker, f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
        with WorkerServer(platform.environment()):
            report = platform.ping(timeout_seconds=15.0)
            assert Status.HEALTHY == report.status, report.as_json()
            assert {"database", "rabbitmq", "worker"} == set(report.components)
        broker.kill()
        assert Status.UNHEALTHY == platform.ping(timeout_seconds=3.0).components["rabbitmq"].status
        platform.close()
