"""Limits on how many run at once, over real workers, really killed."""

from pathlib import Path

from holdfast.jobs.state import JobState
from holdfast.tests.support import child_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until

COUNT = 40


def most_at_once(folder: Path, numbers: range) -> int:
    """The largest number of handlers that ran side by side, by the marks that they left."""
    marks = [line.split() for path in folder.glob("turns-*") for line in path.read_text().splitlines()]
    steps = sorted((float(at), int(step)) for at, step, number in marks if int(number) in numbers)
    running = most = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def test_two_of_each_tenant_at_once_in_the_whole_fleet(held: Platform, tmp_path: Path):
    """Three workers with room for all: two of each tenant run, and one end brings the next at once."""
    for _ in range(3):
        held.worker(worker_slots=20, task_modules=child_tasks.__name__)
    handles = [
        child_tasks.in_turn.options(tenant=f"t{number % 2}").enqueue_sync(str(tmp_path), number)
        for number in range(COUNT)
    ]
    held.until_all([handle.id for handle in handles], JobState.COMPLETED, timeout_seconds=60)
    assert most_at_once(tmp_path, range(0, COUNT, 2)) <= 2
    assert most_at_once(tmp_path, range(1, COUNT, 2)) <= 2
    assert most_at_once(tmp_path, range(COUNT)) > 2, "tenants do not wait for each other"
    assert {1} == {job.attempt for job in held.jobs([handle.id for handle in handles])}


def test_a_killed_workers_places_are_free_again(held: Platform, tmp_path: Path):
    """Within the lease and a sweep; nobody has to clear anything."""
    first = held.worker(worker_slots=20, task_modules=child_tasks.__name__)
    handles = [child_tasks.in_turn.enqueue_sync(str(tmp_path), number) for number in range(COUNT)]
    until(lambda: len(list(tmp_path.glob("turns-*"))), what="a job to begin")
    first.kill()
    held.worker(worker_slots=20, task_modules=child_tasks.__name__)
    held.until_all([handle.id for handle in handles], JobState.COMPLETED, timeout_seconds=60)
    assert [] == held.ledger.concurrency.books()
