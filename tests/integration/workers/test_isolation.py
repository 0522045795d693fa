"""Isolation: who is the death of a process runs apart, twice alone is poison, and innocents pay nothing."""

import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from holdfast.cli.waits import surroundings_of, why_it_waits
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.statements.maintenance import NO_LANE
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.supervised import Supervised
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer, worker_environment

DONE = JobState.COMPLETED
LONG_LEASE = {"lease_seconds": 300.0, "beat_seconds": 60.0}
"""With these, what is free in time was set free by the companion."""


def outcomes(platform: Platform, job_id: str) -> list[str | None]:
    """Return what became of each attempt of a job."""
    return [attempt.outcome for attempt in platform.ledger.attempts(job_id)]


@pytest.mark.parametrize(
    ("task", "how", "seconds"),
    [
        (sample_tasks.killer, "segfault", 0.5),
        pytest.param(sample_tasks.killer_on_thread, "abort", 0.5, marks=pytest.mark.slow),
        # The death itself names nobody: only who was on the loop, and who had just begun.
        pytest.param(sample_tasks.killer, "exit", 5.5, marks=pytest.mark.slow),
    ],
)
def test_the_killer_alone_is_suspected(embedded: Platform, tmp_path: Path, task, how: str, seconds: float):
    """It takes one worker down, then twice a process of its own; no neighbour is set apart or pays for it."""
    worker = Supervised(embedded, **LONG_LEASE)
    handles = sample_tasks.witness.enqueue_many_sync(
        [(str(tmp_path), f"w{n}", seconds + 1.0) for n in range(6)]
    )
    ids = [handle.id for handle in handles]
    worker.until(lambda: embedded.count(ids, JobState.RUNNING) == 6, timeout_seconds=30, what="a full worker")
    pill = task.enqueue_sync(str(tmp_path), how, seconds)
    worker.until(
        lambda: embedded.count([pill.id], JobState.QUARANTINED), timeout_seconds=60, what="the quarantine"
    )
    worker.until(lambda: embedded.count(ids, DONE) == 6, timeout_seconds=60, what="the others")
    row = embedded.ledger.job(pill.id)
    assert QuarantineReason.POISON == row.reason
    assert ["crashed", "crashed", "quarantine"] == outcomes(embedded, pill.id)
    assert 1 == len(worker.dead)
    assert 3 == len((tmp_path / "killer.start").read_text().splitlines())
    assert [(None, 1)] * 6 == [(job.cohort, job.attempt) for job in embedded.jobs(ids)]
    assert "MB at its peak" in row.failure.message
    if how != "exit":
        assert "in die" in row.failure.traceback, "the record says what it did last"
    assert '"suspects": 1' in worker.dead[0].log


def test_a_kill_from_outside_makes_no_suspects(embedded: Platform, tmp_path: Path):
    """SIGKILL without want of memory proves nothing: everyone runs again where they did before."""
    worker = Supervised(embedded, **LONG_LEASE)
    crash = sample_tasks.crash.enqueue_sync(str(tmp_path), 9)
    worker.until(lambda: embedded.count([crash.id], DONE), timeout_seconds=40, what="the second run")
    assert ["lost", "completed"] == outcomes(embedded, crash.id)
    assert 0 == embedded.ledger.job(crash.id).crashes


@pytest.mark.slow
def test_isolated_tasks(held: Platform, tmp_path: Path):
    """They run in other processes, with ledger and client; what kills them kills nobody else."""
    worker = held.worker()
    pids = [sample_tasks.apart.enqueue_sync(str(tmp_path)).result_sync(timeout_seconds=30) for _ in range(3)]
    assert 3 == len({*pids}), "each has a process to itself"
    assert worker.worker_pid not in pids
    eaten = sample_tasks.hungry.enqueue_sync(1)
    assert 1_000_000 == eaten.result_sync(timeout_seconds=20)
    bomb = sample_tasks.hungry.enqueue_sync(2000)
    dead, stuck = (sample_tasks.apart.enqueue_sync(str(tmp_path), how) for how in ("segfault", "spin"))
    held.until_all([bomb.id, dead.id, stuck.id], JobState.QUARANTINED, timeout_seconds=40)
    bomb_row, dead_row, stuck_row = held.jobs([bomb.id, dead.id, stuck.id])
    assert "MemoryError" == bomb_row.failure.type
    assert QuarantineReason.POISON == dead_row.reason
    assert QuarantineReason.ATTEMPTS_EXHAUSTED == stuck_row.reason
    assert "AttemptTimeout" in stuck_row.failure.type
    assert worker.is_running
    assert "isolated_process_died" in worker.log
    assert "hello" == sample_tasks.echo.enqueue_sync("hello").result_sync(timeout_seconds=10)


@pytest.mark.slow
def test_what_an_isolated_handler_leaves_behind_keeps_nobodys_place(embedded: Platform, tmp_path: Path):
    """A thread that goes on, in the only process that there may be: the next isolated job runs."""
    embedded.worker(worker_isolated_processes=1)
    assert "left" == sample_tasks.leave_thread.enqueue_sync(600.0).result_sync(timeout_seconds=30)
    assert sample_tasks.apart.enqueue_sync(str(tmp_path)).result_sync(timeout_seconds=30)


@pytest.mark.slow
def test_an_isolated_handler_can_end_what_it_started(embedded: Platform):
    """Its process hears no SIGTERM, since its worker decides; programs and forks of it end by one."""
    embedded.worker()
    ended = sample_tasks.ends_what_it_starts.enqueue_sync().result_sync(timeout_seconds=30)
    assert [-signal.SIGTERM] * 2 == ended


@pytest.mark.slow
def test_a_cancel_ends_an_isolated_handler_that_hears_nothing(embedded: Platform, tmp_path: Path):
    """Its process is killed: a `def` handler cannot be told."""
    embedded.worker()
    handle = sample_tasks.apart.options(hard_timeout_seconds=600).enqueue_sync(str(tmp_path), "spin")
    until((tmp_path / "apart.start").exists, timeout_seconds=30, what="the start")
    assert "requested" == embedded.ledger.cancel(handle.id, "not needed")
    embedded.until_all([handle.id], JobState.CANCELLED)


@pytest.mark.slow
def test_suspects_wait_visibly_where_nobody_has_a_lane(embedded: Platform, tmp_path: Path):
    """Each says what is missing, none runs in a shared worker again, and a lane that comes runs them."""
    worker = Supervised(embedded, worker_isolated_processes=0)
    ids = [handle.id for handle in sample_tasks.wait.enqueue_many_sync([(3.0,)] * 5)]
    pill = sample_tasks.killer.enqueue_sync(str(tmp_path), "later", 1.0)

    def are_marked() -> bool:
        return all(job.detail == NO_LANE for job in embedded.jobs([*ids, pill.id]))

    worker.until(are_marked, timeout_seconds=60, what="the marks")
    row = embedded.ledger.job(pill.id)
    (reason,) = why_it_waits(row, surroundings_of(row, embedded.ledger))
    assert "HOLDFAST_WORKER_ISOLATED_PROCESSES" in reason
    assert 1 == len((tmp_path / "killer.start").read_text().splitlines())
    embedded.worker()
    embedded.until_all(ids, DONE, timeout_seconds=60)
    embedded.until_all([pill.id], JobState.QUARANTINED, timeout_seconds=60)
    assert QuarantineReason.POISON == embedded.ledger.job(pill.id).reason


def test_an_old_job_of_an_isolated_task_runs_where_nobody_has_a_lane(embedded: Platform, tmp_path: Path):
    """One from before its task was isolated runs in the worker, as it did; a new one waits and says why."""
    old, new = (sample_tasks.apart.enqueue_sync(str(tmp_path)) for _ in range(2))
    with embedded.ledger.session() as session:
        values = {"id": old.id}
        session.execute(text("UPDATE jobs SET cohort = NULL, next_ring_at = run_at WHERE id = :id"), values)
        session.commit()
    worker = embedded.worker(worker_isolated_processes=0)
    assert worker.worker_pid == old.result_sync(timeout_seconds=30)
    until(lambda: embedded.ledger.job(new.id).detail == NO_LANE, timeout_seconds=30, what="the mark")
    assert JobState.AVAILABLE == embedded.ledger.job(new.id).state


LONELY = """
from holdfast import task

@task(name="lonely.alone", isolated=True)
def alone(number: int) -> int:
    import beside
    return beside.twice(number)

@task(name="lonely.among_others")
async def among_others(number: int) -> int:
    import beside
    return beside.twice(number)
"""


def test_what_stands_in_the_working_directory_is_found_everywhere(embedded: Platform):
    """As by the first reader of the README: no PYTHONPATH, the tasks in a file of the folder."""
    urls = {"broker_url": embedded.broker_url, "database_url": embedded.database_url}
    environment = worker_environment(embedded.folder, **urls, task_modules="lonely")
    # As `holdfast worker` starts it: the interpreter itself does not look into the folder.
    worker = WorkerServer({**environment, "PYTHONSAFEPATH": "1"})
    (worker.folder / "lonely.py").write_text(LONELY, encoding="utf-8")
    (worker.folder / "beside.py").write_text("def twice(number): return 2 * number\n", encoding="utf-8")
    with worker:
        sent = [
            embedded.app.send_task(name, kwargs={"number": 21})
            for name in ("lonely.among_others", "lonely.alone")
        ]
        assert [42, 42] == [result.get(timeout=30) for result in sent]


def test_a_drain_reaches_isolated_jobs(embedded: Platform, tmp_path: Path):
    """SIGTERM hands an isolated job back with its attempt, also one that hears nothing."""
    worker = embedded.worker(shutdown_grace_seconds=0.5)
    handle = sample_tasks.apart.options(hard_timeout_seconds=600).enqueue_sync(str(tmp_path), "spin")
    until((tmp_path / "apart.start").exists, timeout_seconds=30, what="the start")
    worker.stop()
    row = embedded.ledger.job(handle.id)
    assert (JobState.AVAILABLE, 0) == (row.state, row.attempt)
    assert ["handed_back"] == outcomes(embedded, handle.id)


@pytest.mark.outage
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_five_hundred_and_one_killer(held: Platform, tmp_path: Path):
    """A death that names nobody, among 500: all others complete, at most six more crashes, in two minutes."""
    worker = Supervised(held, worker_slots=501)
    handles = sample_tasks.wait.enqueue_many_sync([(10.0,)] * 500)
    ids = [handle.id for handle in handles]
    pill = sample_tasks.killer.enqueue_sync(str(tmp_path), "later", 5.0)
    worker.until(
        lambda: held.count(ids, DONE) == len(ids) and held.count([pill.id], JobState.QUARANTINED),
        timeout_seconds=120,
        what="all innocents, and the quarantine",
    )
    assert QuarantineReason.POISON == held.ledger.job(pill.id).reason
    assert 1 == len(worker.dead)
    starts = (tmp_path / "killer.start").read_text().splitlines()
    assert len(starts) - 1 <= 6, "crashes after the first"
    assert {1} == {job.attempt for job in held.jobs(ids)}
