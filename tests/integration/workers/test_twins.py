"""Two real workers of one name: a live one is left alone, a dead one is succeeded (B5)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.builders import a_lease, a_worker, an_offer
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.processes import ServerFailed
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

NAME = "the-name@here"
A_MINUTE = {"lease_seconds": 60.0, "beat_seconds": 10.0}
LONG_LEASE = {"lease_seconds": 300.0, "beat_seconds": 60.0}
"""With these a successor that waited for beats would not start within the test."""


def a_running_job(platform: Platform, folder: Path, seconds: float = 2.0) -> str:
    """Start a witness and wait until it runs."""
    job = sample_tasks.witness.enqueue_sync(str(folder), "a", seconds)
    until((folder / "a.start").exists, timeout_seconds=30, what="a running job")
    return job.id


@contextmanager
def beating(platform: Platform, worker_id: WorkerId) -> Iterator[None]:
    """Beat for a worker of another machine."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            platform.ledger.beat(worker_id)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_second_worker_of_a_name_does_not_start_and_frees_nothing(embedded: Platform, tmp_path: Path):
    """It says which process has the name, and ends; the first one's job runs on. A stop frees the name."""
    first = embedded.worker(name=NAME)
    job_id = a_running_job(embedded, tmp_path)
    with pytest.raises(ServerFailed, match="Another worker of this name is alive") as refused:
        embedded.worker(name=NAME)
    assert str(first.worker_pid) in str(refused.value)
    assert "Traceback" not in str(refused.value)
    embedded.until_all([job_id], JobState.COMPLETED, timeout_seconds=30)
    assert 1 == embedded.ledger.job(job_id).claims
    assert 1 == len(embedded.ledger.workers())
    first.stop()
    assert embedded.worker(name=NAME, **LONG_LEASE).is_running


def test_the_successor_of_a_killed_worker_starts_at_once_and_takes_its_jobs(
    embedded: Platform, tmp_path: Path
):
    """Worker and companion gone without a word: on the same machine that is proof of death."""
    killed = embedded.worker(name=NAME, **LONG_LEASE)
    job_id = a_running_job(embedded, tmp_path)
    killed.kill()
    assert 1 == len(embedded.ledger.workers()), "nobody has said so"
    embedded.worker(name=NAME, **LONG_LEASE)
    embedded.until_all([job_id], JobState.COMPLETED, timeout_seconds=30)
    assert ["lost", "completed"] == [one.outcome for one in embedded.ledger.attempts(job_id)]


def test_a_newcomer_that_waits_for_a_twin_leaves_when_it_is_asked(embedded: Platform):
    """At once, with exit code 0, whatever the lease; it has no row, and the twin keeps its own."""
    twin = a_worker(name=NAME, machine_id="another machine", started_marker="42")
    embedded.ledger.register_worker(twin, [an_offer(task="sample.witness")])
    waits = embedded.worker(name=NAME, is_awaited=False, **A_MINUTE)
    until(lambda: "twin_watched" in waits.log, timeout_seconds=30, what="a newcomer that waits")
    waits.send_signal(signal.SIGTERM)
    assert 0 == waits.end(timeout_seconds=20)
    assert [twin.id] == [row.id for row in embedded.ledger.workers(alive_only=False)]
    assert "Traceback" not in waits.log


@pytest.mark.slow
def test_a_name_of_another_machine_is_watched_for_a_lease(embedded: Platform, tmp_path: Path):
    """As a pod that comes back elsewhere: refused while the other one beats, started when it is silent."""
    twin = a_worker(name=NAME, machine_id="another machine", started_marker="42")
    embedded.ledger.register_worker(twin, [an_offer(task="sample.witness")])
    job_id = sample_tasks.witness.enqueue_sync(str(tmp_path), "a", 0.1).id
    (claim,) = embedded.ledger.claim(
        twin.id,
        [ClaimRequest(a_lease().token)],
        queues=["default"],
        default_attempt_seconds=60.0,
        hard_limits={},
    )
    with beating(embedded, twin.id), pytest.raises(ServerFailed, match="Another worker of this name"):
        embedded.worker(name=NAME)
    assert (JobState.RUNNING, claim.lease.fence) == (
        embedded.ledger.job(job_id).state,
        embedded.ledger.job(job_id).fence,
    )
    successor: WorkerServer = embedded.worker(name=NAME)
    embedded.until_all([job_id], JobState.COMPLETED, timeout_seconds=30)
    assert "twin_watched" in successor.log
    assert [twin.id] == [row.id for row in embedded.ledger.workers(alive_only=False) if not row.is_alive]
