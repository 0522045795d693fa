"""Who leads maintenance may die or freeze: others lead within seconds, and nothing is done twice (B3)."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

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


def leader_of(held: Platform) -> WorkerServer | None:
    """Return the worker that leads, if its row says so of one that is there."""
    with held.ledger.session() as session:
        rows = session.connection().execute(text("SELECT worker_id FROM leaders WHERE role = 'maintenance'"))
        leaders = {row[0] for row in rows}
    pids = {row.pid for row in held.ledger.workers() if row.id in leaders}
    return next((one for one in held.workers if one.is_running and one.worker_pid in pids), None)


@pytest.mark.parametrize("fault", ["killed", pytest.param("frozen", marks=pytest.mark.outage)])
def test_a_leader_that_is_gone_is_replaced_within_seconds_and_doubles_nothing(
    embedded: Platform, tmp_path: Path, fault: str
):
    """In the middle of its sweeps over due jobs: all of them run, each once, though the old leader wakes."""
    settings = {"worker_slots": 10, "maintenance_batch": 5, "sweep_seconds": 0.05}
    embedded.worker(**settings)
    embedded.worker(**settings)
    leader = until(lambda: leader_of(embedded), timeout_seconds=30, what="a leader")
    handles = [
        sample_tasks.witness.options(delay_seconds=0.5 + n / 100).enqueue_sync(str(tmp_path), f"j{n}")
        for n in range(SCHEDULED)
    ]  # fmt: skip
    ids = [handle.id for handle in handles]
    until(lambda: embedded.count(ids, DONE) >= SCHEDULED // 10, timeout_seconds=30, what="a sweep under way")
    leader.kill() if fault == "killed" else leader.pause()
    embedded.until_all(ids, DONE, timeout_seconds=40)
    assert leader is not leader_of(embedded)
    if fault == "frozen":
        before = [(job.id, job.claims, job.finished_at) for job in embedded.jobs(ids)]
        leader.resume()
        until(lambda: len(embedded.ledger.workers()) == 2, timeout_seconds=30, what="the sleeper's new row")
        assert before == [(job.id, job.claims, job.finished_at) for job in embedded.jobs(ids)]
    histories = [[moment.kind for moment in embedded.ledger.history(job_id)] for job_id in ids]
    assert all(1 == kinds.count("complete") for kinds in histories)
    assert all(1 == kinds.count("stage") for kinds in histories), "each was staged by one leader"


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
