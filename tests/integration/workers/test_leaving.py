"""A worker leaves: asked once it takes its time, asked twice it hurries, the third time it is gone."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer
from holdfast.workers.drain import CLEAN_UP_SECONDS
from holdfast.workers.stop_signals import FORCED

GRACE_AND_MORE_SECONDS = 16.0
"""What the guide says a pod needs: the grace, and fifteen seconds."""
LONG_GRACE = {"shutdown_grace_seconds": 600.0}


def drained(held: Platform, folder: Path, **settings: object) -> tuple[WorkerServer, str]:
    """Ask a worker that runs a job of ten minutes to leave; wait until it drains."""
    worker = held.worker(**settings)
    job = sample_tasks.witness.enqueue_sync(str(folder), "long", 600.0)
    until((folder / "long.start").exists, timeout_seconds=30, what="a running job")
    worker.send_signal(signal.SIGTERM)
    until(lambda: "worker_draining" in worker.log, timeout_seconds=30, what="the drain")
    return worker, job.id


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGQUIT, marks=pytest.mark.slow),
    ],
)
def test_a_second_signal_hands_back_at_once(embedded: Platform, tmp_path: Path, number: signal.Signals):
    """Whichever it is: the rest of the grace is skipped, the attempt given back, the exit code 0."""
    worker, job = drained(embedded, tmp_path, **LONG_GRACE)
    worker.send_signal(number)
    assert 0 == worker.end()
    row = embedded.ledger.job(job)
    assert (JobState.AVAILABLE, 0) == (row.state, row.attempt)
    assert [] == embedded.ledger.workers()


def everybody(worker: WorkerServer) -> list[psutil.Process]:
    """Return the processes of a worker, as systemd finds them in its unit."""
    companion = psutil.Process(worker.pid)
    return [companion, *companion.children(recursive=True)]


def ask_everybody(
    worker: WorkerServer, number: int = signal.SIGTERM, *, first: str = "the companion"
) -> None:
    """Send a signal to all of them at once, in the order of their birth or the other way round."""
    for process in sorted(everybody(worker), key=lambda one: one.pid, reverse=first != "the companion"):
        process.send_signal(number)


@pytest.mark.parametrize(
    ("number", "first"),
    [
        (signal.SIGTERM, "the companion"),
        pytest.param(signal.SIGTERM, "the last child", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "the companion", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, "the companion", marks=pytest.mark.slow),
    ],
)
def test_one_signal_to_all_processes_is_one_request(
    embedded: Platform, tmp_path: Path, number: signal.Signals, first: str
):
    """As systemd does by default: short work ends within the grace, in isolated processes, too."""
    worker = embedded.worker(worker_isolated_processes=2, shutdown_grace_seconds=60.0)
    shared = sample_tasks.witness.enqueue_sync(str(tmp_path), "shared", 3.0)
    apart = sample_tasks.apart_for_a_while.enqueue_sync(str(tmp_path), "apart", 3.0)
    for name in ("shared", "apart"):
        until((tmp_path / f"{name}.start").exists, timeout_seconds=30, what="running jobs")
    assert len(everybody(worker)) >= 4, "a companion, a worker, a nursery, a child"
    ask_everybody(worker, number, first=first)
    assert 0 == worker.end()
    embedded.until_all([shared.id, apart.id], JobState.COMPLETED, timeout_seconds=1)
    assert [1, 1] == [
        len((tmp_path / f"{name}.start").read_text().splitlines()) for name in ("shared", "apart")
    ]
    assert [] == embedded.ledger.workers()


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["everybody", "the worker alone"])
def test_a_second_signal_hurries_whomever_it_is_sent_to(embedded: Platform, tmp_path: Path, whom: str):
    """All processes of a unit twice, or the worker's own pid: the second request skips the grace."""
    worker = embedded.worker(**LONG_GRACE)
    job = sample_tasks.witness.enqueue_sync(str(tmp_path), "long", 600.0).id
    until((tmp_path / "long.start").exists, timeout_seconds=30, what="a running job")

    def ask() -> None:
        if whom == "everybody":
            ask_everybody(worker)
        else:
            psutil.Process(worker.worker_pid).send_signal(signal.SIGTERM)

    ask()
    until(lambda: "worker_draining" in worker.log, timeout_seconds=30, what="the drain")
    with pytest.raises(subprocess.TimeoutExpired):
        worker.end(1.0)
    ask()
    assert 0 == worker.end()
    assert (JobState.AVAILABLE, 0) == (embedded.ledger.job(job).state, embedded.ledger.job(job).attempt)


@pytest.mark.slow
def test_a_third_signal_ends_it_at_once(embedded: Platform, tmp_path: Path):
    """A handler that does not end holds up nobody: the exit code says so, and its job is free at once."""
    worker = embedded.worker(**LONG_GRACE, lease_seconds=300.0, beat_seconds=60.0)
    job = sample_tasks.block.enqueue_sync(str(tmp_path), "stuck", 600.0).id
    until((tmp_path / "stuck.start").exists, timeout_seconds=30, what="a handler that holds the loop")

    def is_gone() -> bool:
        # Again and again: two that come together count as one.
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
        return not worker.is_running

    until(is_gone, timeout_seconds=30, what="its end")
    assert FORCED == worker.end()
    embedded.worker()
    until(
        lambda: [one.outcome for one in embedded.ledger.attempts(job)][:1] == ["lost"],
        timeout_seconds=30, what="the job to be free",
    )  # fmt: skip


def test_a_cancel_during_the_grace_is_heard_within_seconds(embedded: Platform, tmp_path: Path):
    """The job ends as cancelled, is not handed back, and the worker leaves without waiting further."""
    worker, job = drained(embedded, tmp_path, **LONG_GRACE)
    assert "requested" == embedded.ledger.cancel(job, "not needed")
    embedded.until_all([job], JobState.CANCELLED, timeout_seconds=10)
    assert 0 == worker.end()
    assert ["enqueue", "claim", "cancel"] == [moment.kind for moment in embedded.ledger.history(job)]


@pytest.mark.slow
def test_a_handler_that_swallows_its_cancellation_is_asked_again(embedded: Platform, tmp_path: Path):
    """After the time to clean up it is cancelled a second time, and its job handed back in good order."""
    worker = embedded.worker(shutdown_grace_seconds=0.1)
    job = sample_tasks.reluctant.enqueue_sync(str(tmp_path), "job", 600.0).id
    until((tmp_path / "job.start").exists, timeout_seconds=30, what="a running job")
    asked_at = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert 0 == worker.end()
    assert (tmp_path / "job.asked").exists()
    assert time.monotonic() - asked_at >= CLEAN_UP_SECONDS
    assert (JobState.AVAILABLE, 0) == (embedded.ledger.job(job).state, embedded.ledger.job(job).attempt)
    assert ["handed_back"] == [one.outcome for one in embedded.ledger.attempts(job)]
    assert "worker_died" not in worker.log


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["frozen", "gone"])
def test_a_broker_that_does_not_answer_holds_up_no_leave(
    embedded: Platform, own_redis: RedisServer, tmp_path: Path, fault: str
):
    """The jobs go back through the ledger, and the process ends in time, whatever the broker does."""
    worker = embedded.worker(shutdown_grace_seconds=1.0)
    job = sample_tasks.witness.enqueue_sync(str(tmp_path), "long", 600.0).id
    until((tmp_path / "long.start").exists, timeout_seconds=30, what="a running job")
    own_redis.pause() if fault == "frozen" else own_redis.kill()
    worker.send_signal(signal.SIGTERM)
    assert 0 == worker.end(GRACE_AND_MORE_SECONDS)
    assert (JobState.AVAILABLE, 0) == (embedded.ledger.job(job).state, embedded.ledger.job(job).attempt)
    assert [] == embedded.ledger.workers()
