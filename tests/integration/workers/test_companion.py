"""The companion: no handler can starve a lease, a stuck worker loses it, and a death is told at once."""

import os
import signal
import time
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer
from holdfast.workers.fitness import UNFIT

DONE = JobState.COMPLETED
LONG_LEASE = {"lease_seconds": 300.0, "beat_seconds": 60.0}
"""With these only the companion can say in time that its worker died: others look once a minute."""


def started(folder: Path, name: str) -> list[str]:
    """Return the marks of the executions of a witness."""
    path = folder / f"{name}.start"
    return path.read_text().splitlines() if path.exists() else []


def running(held: Platform, worker: WorkerServer, folder: Path, *names: str, seconds: float = 3.0) -> list:
    """Start witnesses and wait until they run."""
    handles = sample_tasks.witness.enqueue_many_sync([(str(folder), name, seconds) for name in names])
    until(lambda: all(started(folder, name) for name in names), what="the witnesses")
    assert worker.is_running
    return handles


def test_a_call_that_keeps_the_interpreter_costs_no_lease(held: Platform, tmp_path: Path):
    """A C call of three leases, beside an observer that judges: every job beside it runs once."""
    worker = held.worker(worker_slots=4)
    handles = running(held, worker, tmp_path, "a", "b", seconds=1.0)
    hold = sample_tasks.hold.enqueue_sync(6)
    until(lambda: held.count([hold.id], JobState.RUNNING) == 1, what="the C call")
    observer = held.worker(worker_slots=4)
    held.until_all([hold.id, *(handle.id for handle in handles)], DONE, timeout_seconds=30)
    assert [1, 1, 1] == [job.claims for job in held.jobs([hold.id, *(handle.id for handle in handles)])]
    assert "worker_declared_dead" not in observer.log
    assert "lease_unsure" not in worker.log


def test_a_worker_that_is_stuck_is_killed_with_its_stacks_and_its_jobs_run_again(
    embedded: Platform, tmp_path: Path
):
    """A loop that stands still past its limit: stacks in the log, killed, and taken over in seconds."""
    stuck = embedded.worker(worker_slots=4, loop_stall_limit_seconds=2.0, **LONG_LEASE)
    running(embedded, stuck, tmp_path, "beside")
    sample_tasks.block.enqueue_sync(str(tmp_path), "block", 600.0)
    until(lambda: started(tmp_path, "block"), what="the block")
    heir = embedded.worker(worker_slots=4, loop_stall_limit_seconds=600.0, **LONG_LEASE)
    until(lambda: not stuck.is_running, timeout_seconds=15, what="the end of the stuck worker")
    assert "worker_stuck" in stuck.log
    assert "in block" in stuck.log, "the stacks name the handler"
    assert "SIGKILL" in stuck.log
    until(lambda: len(started(tmp_path, "beside")) == 2, what="the neighbour to run again")
    assert heir.is_running


@pytest.mark.slow
def test_a_companion_that_wakes_first_kills_nobody(embedded: Platform):
    """Frozen together for longer than the loop may stand still: the worker that wakes later is well."""
    worker = embedded.worker(worker_slots=4, loop_stall_limit_seconds=4.0, **LONG_LEASE)
    child = worker.worker_pid
    worker.pause()
    thaw_at = time.monotonic() + 6.0
    until(lambda: time.monotonic() > thaw_at, what="more than the limit to pass")
    os.kill(worker.pid, signal.SIGCONT)
    wake_at = time.monotonic() + 1.0
    until(lambda: time.monotonic() > wake_at, what="the companion to look, four times")
    worker.resume()
    assert "well" == sample_tasks.echo.enqueue_sync("well").result_sync(timeout_seconds=30)
    assert child == worker.worker_pid
    assert "worker_stuck" not in worker.log


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.slow)])
def test_a_death_is_told_at_once_and_by_its_name(embedded: Platform, tmp_path: Path, number: signal.Signals):
    """With a lease of five minutes the jobs of a worker that died run again within seconds."""
    dying = embedded.worker(worker_slots=4, **LONG_LEASE)
    heir = embedded.worker(worker_slots=4, **LONG_LEASE)
    crash = sample_tasks.crash.enqueue_sync(str(tmp_path), int(number))
    assert "survived" == crash.result_sync(timeout_seconds=30)
    dead = until(lambda: next((w for w in (dying, heir) if not w.is_running), None), what="a death")
    until(lambda: "worker_died" in dead.log, what="the last word")
    assert number.name in dead.log
    # SIGKILL may come from anywhere; a segmentation fault makes the job that ran a suspect.
    first = "lost" if number is signal.SIGKILL else "crashed"
    assert [first, "completed"] == [one.outcome for one in embedded.ledger.attempts(crash.id)]


def test_a_companion_that_is_killed_takes_its_worker_along(embedded: Platform, tmp_path: Path):
    """Nobody would beat for it: it ends at once, and its jobs run elsewhere."""
    worker = embedded.worker(worker_slots=4)
    (handle,) = running(embedded, worker, tmp_path, "a", seconds=2.0)
    child = worker.worker_pid
    assert child != worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{child}/exe").exists(), what="the end of the worker")
    embedded.worker(worker_slots=4)
    embedded.until_all([handle.id], DONE)
    assert 1 == embedded.ledger.job(handle.id).attempt


def test_a_worker_frozen_beyond_its_lease_changes_nothing_when_it_wakes(
    on_postgres: Platform, tmp_path: Path
):
    """SIGSTOP of worker and companion: the job ends elsewhere, once, and the sleeper gets a new row."""
    frozen = on_postgres.worker(worker_slots=4)
    (handle,) = running(on_postgres, frozen, tmp_path, "a", seconds=2.0)
    frozen.pause()
    on_postgres.worker(worker_slots=4)
    on_postgres.until_all([handle.id], DONE, timeout_seconds=30)
    before = on_postgres.ledger.job(handle.id)
    frozen.resume()
    until(lambda: len(on_postgres.ledger.workers()) == 2, timeout_seconds=15, what="the sleeper's new row")
    assert before == on_postgres.ledger.job(handle.id)
    assert ["lost", "completed"] == [one.outcome for one in on_postgres.ledger.attempts(handle.id)]
    assert "lease_was_lost" in frozen.log


@pytest.mark.slow
def test_a_worker_whose_threads_work_for_nobody_leaves(on_postgres: Platform, tmp_path: Path):
    """Its leases were lost while it was frozen: nobody can end the threads, so the process goes."""
    frozen = on_postgres.worker(worker_slots=4, worker_threads=2)
    pid = frozen.worker_pid
    handles = sample_tasks.attend_on_thread.enqueue_many_sync([(str(tmp_path), name) for name in "ab"])
    ids = [handle.id for handle in handles]
    until(lambda: all(started(tmp_path, name) for name in "ab"), what="two busy threads")
    frozen.pause()
    heir = on_postgres.worker(worker_slots=4)
    until(
        lambda: all(len(started(tmp_path, name)) == 2 for name in "ab"), timeout_seconds=20, what="the heir"
    )
    frozen.resume()
    assert UNFIT == frozen.end(30)
    assert 2 == frozen.log.count("handler_abandoned")
    for name in "ab":
        (tmp_path / f"{name}.go").touch()
    on_postgres.until_all(ids, DONE)
    ends = [(tmp_path / f"{name}.end").read_text().split() for name in "ab"]
    assert [[str(heir.worker_pid)]] * 2 == ends
    assert pid != heir.worker_pid


@pytest.mark.parametrize("program", ["celery", "holdfast.workers.companion"])
def test_signals_reach_the_worker_through_its_companion(embedded: Platform, tmp_path: Path, program: str):
    """SIGTERM to the process that was started drains the worker, also where that was plain `celery`."""
    worker = embedded.worker(program=program, shutdown_grace_seconds=10.0)
    (handle,) = running(embedded, worker, tmp_path, "a", seconds=1.0)
    assert worker.worker_pid != worker.pid, "it has a companion"
    worker.stop()
    assert DONE == embedded.ledger.job(handle.id).state
    assert [] == embedded.ledger.workers()
    assert "worker_died" not in worker.log


def test_a_worker_can_do_without(embedded: Platform):
    """With the setting off it is one process, which beats for itself."""
    worker = embedded.worker(program="celery", worker_companion=False)
    assert worker.worker_pid == worker.pid
    assert "hello" == sample_tasks.echo.enqueue_sync("hello").result_sync(timeout_seconds=10)
