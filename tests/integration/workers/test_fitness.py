"""A worker that lacks what its jobs need fails none of them: it gives them back, and leaves."""

from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.workers.fitness import UNFIT

JOBS = 40


@pytest.mark.slow
def test_a_worker_out_of_descriptors_is_no_black_hole(embedded: Platform, tmp_path: Path):
    """It leaves with its exit code; beside a healthy one no job is lost, fails, runs twice or costs a try."""
    sick = embedded.worker(worker_slots=20, most_files=128)
    assert 0 < sample_tasks.leak.enqueue_sync().result_sync(timeout_seconds=30)
    # Each opens a file, which fails where there is no descriptor.
    handles = sample_tasks.witness.enqueue_many_sync([(str(tmp_path), f"j{n}", 0.2) for n in range(JOBS)])
    embedded.worker(worker_slots=4)
    ids = [handle.id for handle in handles]
    embedded.until_all(ids, JobState.COMPLETED, timeout_seconds=60)
    assert UNFIT == sick.end()
    assert "worker_unfit" in sick.log
    assert {1} == {job.attempt for job in embedded.jobs(ids)}
    assert {1} == {len((tmp_path / f"j{n}.end").read_text().splitlines()) for n in range(JOBS)}
    outcomes = {one.outcome for job in ids for one in embedded.ledger.attempts(job)}
    assert outcomes <= {"completed", "handed_back"}


@pytest.mark.slow
def test_a_worker_over_its_memory_leaves(embedded: Platform, tmp_path: Path):
    """What runs ends within the grace, what waits goes to others; its supervisor starts a new one."""
    fat = embedded.worker(worker_memory_limit_mb=400, shutdown_grace_seconds=10.0)
    sample_tasks.hoard.enqueue_sync(400).result_sync(timeout_seconds=30)
    handle = sample_tasks.witness.enqueue_sync(str(tmp_path), "after", 1.0)
    assert UNFIT == fat.end()
    embedded.worker()
    embedded.until_all([handle.id], JobState.COMPLETED, timeout_seconds=30)
    assert 1 == len((tmp_path / "after.end").read_text().splitlines())
