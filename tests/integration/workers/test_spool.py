"""Outcomes survive the death of their worker while the database is away: real processes, really killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import PostgresServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

JOBS = 5
PATIENT = {"lease_seconds": 60.0, "beat_seconds": 0.5, "shutdown_grace_seconds": 1.0}
"""With this lease nobody frees the jobs of a dead worker but who has the proof of its death."""


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be killed."""
    with PostgresServer(fsync=True) as server:
        yield server


@pytest.fixture
def durable(own_postgres: PostgresServer, redis_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on it."""
    url = own_postgres.url_of(own_postgres.create_database())
    with platform(tmp_path, broker_url=redis_url, database_url=url) as made:
        yield made


def spooled(folder: Path) -> int:
    """Count the outcomes on disk."""
    files = (folder / "spool").glob("*.spool")
    return sum(len(file.read_bytes().splitlines()) - 1 for file in files)


def end_in_the_dark(
    durable: Platform, worker: WorkerServer, server: PostgresServer, folder: Path
) -> list[str]:
    """Let jobs end while the database is away; returns their ids."""
    handles = sample_tasks.witness.enqueue_many_sync([(str(folder), f"j{n}", 1.5) for n in range(JOBS)])
    ids = [handle.id for handle in handles]
    until(lambda: durable.count(ids, JobState.RUNNING) == JOBS, timeout_seconds=30, what="running jobs")
    server.kill()
    until(lambda: spooled(folder) == JOBS, timeout_seconds=30, what="outcomes on disk")
    assert worker.is_running
    return ids


def kill_both(worker: WorkerServer) -> None:
    """Power off: the worker and its companion."""
    worker.kill()


def kill_the_worker(worker: WorkerServer) -> None:
    """The companion lives, and cannot reach the database either."""
    os.kill(worker.worker_pid, signal.SIGKILL)
    until(lambda: not worker.is_running, timeout_seconds=30, what="the end of the companion")


def stop(worker: WorkerServer) -> None:
    """An orderly stop, which cannot write what it has."""
    worker.stop_timeout_seconds = 45.0
    worker.stop()


@pytest.mark.parametrize(
    "end",
    [
        kill_both,
        pytest.param(kill_the_worker, marks=pytest.mark.slow),
        pytest.param(stop, marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_ends_in_an_outage_loses_no_outcome(
    durable: Platform, own_postgres: PostgresServer, tmp_path: Path, end
):
    """Killed, or stopped: its successor settles what it finds on disk, and no job runs twice."""
    ids = end_in_the_dark(durable, durable.worker(**PATIENT), own_postgres, tmp_path)
    end(durable.workers[0])
    assert JOBS == spooled(tmp_path)
    own_postgres.start()
    successor = durable.worker(**PATIENT)
    durable.until_all(ids, JobState.COMPLETED, timeout_seconds=30)
    assert [1] * JOBS == [job.claims for job in durable.jobs(ids)]
    assert [1] * JOBS == [len((tmp_path / f"j{n}.start").read_text().splitlines()) for n in range(JOBS)]
    assert "spool_replayed" in successor.log
    assert 0 == spooled(tmp_path)
    (file,) = (tmp_path / "spool").iterdir()
    assert 0o600 == file.stat().st_mode & 0o777


@pytest.mark.slow
def test_a_neighbour_settles_what_a_dead_worker_left(
    durable: Platform, own_postgres: PostgresServer, tmp_path: Path
):
    """Nobody has to be started: any worker of the machine finds it when the database is back."""
    worker = durable.worker(**PATIENT)
    neighbour = durable.worker(**PATIENT, queues="another")
    ids = end_in_the_dark(durable, worker, own_postgres, tmp_path)
    worker.kill()
    own_postgres.start()
    durable.until_all(ids, JobState.COMPLETED, timeout_seconds=30)
    assert [1] * JOBS == [job.claims for job in durable.jobs(ids)]
    assert "spool_replayed" in neighbour.log


@pytest.mark.slow
def test_a_worker_that_lives_settles_from_memory(
    durable: Platform, own_postgres: PostgresServer, tmp_path: Path
):
    """What stood on disk is gone after the commit, and nobody replays it meanwhile."""
    worker = durable.worker(**PATIENT)
    ids = end_in_the_dark(durable, worker, own_postgres, tmp_path)
    own_postgres.start()
    durable.until_all(ids, JobState.COMPLETED, timeout_seconds=30)
    until(lambda: spooled(tmp_path) == 0, timeout_seconds=30, what="an empty file")
    assert "spool_replayed" not in worker.log
    worker.stop()
    assert [] == list((tmp_path / "spool").iterdir())


def test_the_companion_settles_the_last_outcomes_of_its_worker(
    durable: Platform, own_postgres: PostgresServer, tmp_path: Path
):
    """A worker that cannot write and is killed with the database back: its companion does both, in order."""
    worker = durable.worker(**PATIENT)
    ids = end_in_the_dark(durable, worker, own_postgres, tmp_path)
    os.kill(worker.worker_pid, signal.SIGSTOP)
    own_postgres.start()
    os.kill(worker.worker_pid, signal.SIGKILL)
    durable.until_all(ids, JobState.COMPLETED, timeout_seconds=30)
    until(lambda: not worker.is_running, timeout_seconds=30, what="the end of the companion")
    assert "spool_replayed" in worker.log
    assert [1] * JOBS == [job.claims for job in durable.jobs(ids)]
    assert [] == durable.ledger.workers()
