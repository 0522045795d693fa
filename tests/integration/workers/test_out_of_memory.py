"""The kernel kills a worker for want of memory: who ate it is found out, the others lose nothing (B11)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.control_group import memory_group
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.supervised import Supervised

DONE = JobState.COMPLETED


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that a worker with one greedy job does not fit into."""
    try:
        with memory_group(most_mb=500) as made:
            yield made
    except OSError as error:
        pytest.skip(f"needs a memory control group that may be written to: {error}")


@pytest.mark.outage
def test_a_job_that_eats_all_memory_is_found_out(embedded: Platform, group: Path):
    """One worker dies, the kernel's count says of what; the greedy job runs apart and is poison."""
    worker = Supervised(embedded, control_group=group)
    ids = [handle.id for handle in sample_tasks.wait.enqueue_many_sync([(5.0,)] * 10)]
    worker.until(lambda: embedded.count(ids, JobState.RUNNING) == 10, timeout_seconds=30, what="neighbours")
    pill = sample_tasks.hoard.enqueue_sync(1000)
    worker.until(
        lambda: embedded.count([pill.id], JobState.QUARANTINED), timeout_seconds=60, what="the quarantine"
    )
    worker.until(lambda: embedded.count(ids, DONE) == 10, timeout_seconds=60, what="the neighbours' end")
    assert 1 == len(worker.dead)
    assert '"is_out_of_memory": true' in worker.dead[0].log
    row = embedded.ledger.job(pill.id)
    assert QuarantineReason.POISON == row.reason
    assert "out of memory" in row.failure.message
    assert "MB at its peak" in row.failure.message
    assert {1} == {job.attempt for job in embedded.jobs(ids)}
