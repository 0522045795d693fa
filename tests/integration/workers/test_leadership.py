"""Who leads maintenance may die or freeze: others lead within seconds, and nothing is done twice (B3)."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import RabbitMQServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

DONE = JobState.COMPLETED
SCHEDULED = 100
RECOVERY_SECONDS = 15.0
"""What recovery may take beyond the lease on a machine that is busy; on an idle one it is a second or two."""


def in_the_middle_of_a_sweep(
    held: Platform, folder: Path, fault: Callable[[WorkerServer], None]
) -> WorkerServer:
    """Let the leader of two workers suffer while jobs come due; return it when all of them are done."""
    settings = {"worker_slots": 10, "maintenance_batch": 5, "sweep_seconds": 0.05}
    held.worker(**settings)
    held.worker(**settings)
    leader = until(held.leader, timeout_seconds=30, what="a leader")
    handles = [
        sample_tasks.witness.options(delay_seconds=0.5 + n / 100).enqueue_sync(str(folder), f"j{n}")
        for n in range(SCHEDULED)
    ]  # fmt: skip
    ids = [handle.id for handle in handles]
    until(lambda: held.count(ids, DONE) >= SCHEDULED // 10, timeout_seconds=30, what="a sweep under way")
    fault(leader)
    held.until_all(ids, DONE, timeout_seconds=40)
    assert leader is not held.leader()
    if leader.is_running:
        before = [(job.id, job.claims, job.finished_at) for job in held.jobs(ids)]
        leader.resume()
        until(lambda: len(held.ledger.workers()) == 2, timeout_seconds=30, what="the sleeper's new row")
        assert before == [(job.id, job.claims, job.finished_at) for job in held.jobs(ids)]
    histories = [[moment.kind for moment in held.ledger.history(job_id)] for job_id in ids]
    assert all(1 == kinds.count("complete") for kinds in histories)
    assert all(1 == kinds.count("stage") for kinds in histories), "each was staged by one leader"
    return leader


def test_a_leader_that_is_killed_is_replaced_within_seconds_and_doubles_nothing(
    embedded: Platform, tmp_path: Path
):
    """In the middle of its sweeps over due jobs: all of them run, each once."""
    assert not in_the_middle_of_a_sweep(embedded, tmp_path, WorkerServer.kill).is_running


@pytest.mark.outage
def test_a_frozen_leader_blocks_nobody_and_doubles_nothing_when_it_wakes(
    on_postgres: Platform, tmp_path: Path
):
    """In the middle of its sweeps over due jobs: all of them run, each once, though the old leader wakes."""
    assert in_the_middle_of_a_sweep(on_postgres, tmp_path, WorkerServer.pause).is_running


def no_last_words(held: Platform, folder: Path) -> float:
    """Kill a worker and its companion at once; return the seconds until its job runs elsewhere."""
    first = held.worker(worker_slots=4)
    job = sample_tasks.witness.enqueue_sync(str(folder), "a", 30.0)
    until((folder / "a.start").exists, timeout_seconds=30, what="a running job")
    held.worker(worker_slots=4)
    first.kill()
    killed_at = time.monotonic()
    until(
        lambda: len((folder / "a.start").read_text().splitlines()) == 2,
        timeout_seconds=30,
        what="the job to run elsewhere",
    )
    assert ["lost", None] == [attempt.outcome for attempt in held.ledger.attempts(job.id)]
    return time.monotonic() - killed_at


@pytest.mark.slow
def test_a_death_without_a_last_word_is_noticed_within_the_lease(embedded: Platform, tmp_path: Path):
    """SIGKILL of worker and companion: a lease of two seconds and a sweep later the job runs again."""
    assert no_last_words(embedded, tmp_path) <= 2.0 + RECOVERY_SECONDS


@pytest.fixture
def rabbit(rabbitmq_server: RabbitMQServer, sqlite_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on RabbitMQ."""
    with platform(tmp_path, broker_url=rabbitmq_server.url, database_url=sqlite_url) as made:
        yield made


@pytest.mark.rabbitmq
def test_a_death_without_a_last_word_is_noticed_over_rabbitmq(rabbit: Platform, tmp_path: Path):
    """The broker has no say in it."""
    assert no_last_words(rabbit, tmp_path) <= 2.0 + RECOVERY_SECONDS
