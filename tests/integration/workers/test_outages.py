"""The servers around us fail: producers are not slowed down, jobs are not lost."""

import statistics
import time
from pathlib import Path

import pytest

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import PostgresServer, RedisServer
from holdfast.tests.support.traffic import monitored
from holdfast.tests.support.waiting import until


def timed_enqueues(count: int) -> tuple[list[str], list[float]]:
    """Enqueue one by one; return the ids, and the seconds that each took."""
    ids, seconds = [], []
    for number in range(count):
        started = time.perf_counter()
        ids.append(sample_tasks.echo.enqueue_sync(str(number)).id)
        seconds.append(time.perf_counter() - started)
    return ids, seconds


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_broker_that_is_down_or_frozen_slows_no_producer(
    embedded: Platform, own_redis: RedisServer, fault: str
):
    """100 enqueues each take at most 100 ms longer than usual, and the jobs run afterwards."""
    usual = statistics.median(timed_enqueues(30)[1])
    own_redis.kill() if fault == "killed" else own_redis.pause()
    ids, seconds = timed_enqueues(100)
    own_redis.start() if fault == "killed" else own_redis.resume()
    # Two of the hundred may be unlucky with the machine; none may wait for the broker.
    assert sorted(seconds)[-3] <= usual + 0.1
    assert max(seconds) < 1.0
    embedded.worker()
    embedded.until_all(ids, JobState.COMPLETED)


def test_a_database_that_is_down_answers_at_once(tmp_path: Path, redis_url: str):
    """Enqueue with the database stopped: a clear error within a second, and nothing half written."""
    with PostgresServer(fsync=True) as server:
        url = server.url_of(server.create_database())
        with platform(tmp_path, broker_url=redis_url, database_url=url) as held:
            sample_tasks.echo.enqueue_sync("before")
            server.kill()
            started = time.perf_counter()
            with pytest.raises(LedgerUnavailable) as caught:
                sample_tasks.echo.enqueue_sync("during")
            assert time.perf_counter() - started < 5
            assert "Try again" in str(caught.value)
            assert "password" not in str(caught.value).lower()
            server.start()
            after = until(lambda: sample_tasks.echo.enqueue_sync("after"), what="an enqueue after the outage")
            assert JobState.AVAILABLE == held.ledger.job(after.id).state


def test_running_jobs_outlive_a_restart_of_the_database(tmp_path: Path, redis_url: str):
    """PostgreSQL killed and restarted under running jobs: they go on, end once, and the worker stays."""
    with PostgresServer(fsync=True) as server:
        url = server.url_of(server.create_database())
        with platform(tmp_path, broker_url=redis_url, database_url=url) as held:
            worker = held.worker(lease_seconds=5.0, beat_seconds=0.5)
            handles = sample_tasks.witness.enqueue_many_sync(
                [(str(tmp_path), f"j{n}", 2.5) for n in range(10)]
            )
            ids = [handle.id for handle in handles]
            until(lambda: held.count(ids, JobState.RUNNING) == 10, what="ten running jobs")
            server.kill()
            until(
                lambda: all((tmp_path / f"j{n}.end").exists() for n in range(10)), what="the handlers to end"
            )
            server.start()
            config = LedgerConfig(url=url, schema="holdfast")
            until(lambda: _answers(config), timeout_seconds=20, what="the database")
            held.until_all(ids, JobState.COMPLETED)
            assert worker.is_running
            assert all(1 == len((tmp_path / f"j{n}.start").read_text().splitlines()) for n in range(10))
            assert "after" == sample_tasks.echo.enqueue_sync("after").result_sync(timeout_seconds=10)


def test_secrets_stay_in_the_ledger(embedded: Platform, own_redis: RedisServer):
    """An argument appears neither on the broker, nor in the worker's log, nor in any event of Celery's."""
    key = "sk-live-0123456789abcdef0123456789abcdef"
    with monitored(own_redis.port) as traffic:
        worker = embedded.worker()
        job = sample_tasks.secret.enqueue_sync(api_key=key)
        assert len(key) == job.result_sync(timeout_seconds=10)
        broken = sample_tasks.broken.enqueue_sync(f"could not log in with {key}")
        embedded.until_all([broken.id], JobState.QUARANTINED)
        until(lambda: any("task-failed" in line or job.id in line for line in traffic()), what="traffic")
        assert not [line for line in traffic() if key in line]
    assert key not in worker.log


def _answers(config: LedgerConfig) -> bool:
    try:
        migrate(config)
        connect(config).close()
    except LedgerUnavailable:
        return False
    return True
