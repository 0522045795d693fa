"""Parents and children in real workers, really killed."""

import itertools
import time
from collections import Counter
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import child_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until

DONE = JobState.COMPLETED
MANY = 10_000
KILL_EVERY_SECONDS = 5.0


def a_worker(held: Platform, **settings):
    """A worker that has the family's tasks."""
    return held.worker(task_modules=child_tasks.__name__, **settings)


def ends(folder: Path) -> Counter[int]:
    """How often each child came to its end."""
    return Counter(int(line) for path in folder.glob("ends-*") for line in path.read_text().splitlines())


def children_of(held: Platform, parent_id: str, group: str = "map:1"):
    """How the children stand."""
    return [end.state for end in held.ledger.children.ends(parent_id, [group])]


def test_a_parent_waits_without_a_slot(held: Platform, tmp_path: Path):
    """With one slot for all, a parent, its children and theirs come to their ends, promptly."""
    a_worker(held, worker_slots=1)
    assert 28 == child_tasks.total.enqueue_sync([1, 2, 3, 4, 5, 6, 7]).result_sync(timeout_seconds=60)
    assert [0, 2, 4] == child_tasks.count_up.enqueue_sync(str(tmp_path), 3).result_sync(timeout_seconds=60)
    assert {0: 1, 1: 1, 2: 1} == ends(tmp_path)


def test_a_cancelled_parent_takes_its_children_with_it(held: Platform, tmp_path: Path):
    """The running one within seconds, and those that wait for its slot at once."""
    a_worker(held, worker_slots=1)
    parent = child_tasks.brood.enqueue_sync(str(tmp_path), 3)
    until(lambda: list(tmp_path.glob("began-*")), what="a running child")
    assert "cancelled" == parent.cancel_sync("not needed")
    until(
        lambda: children_of(held, parent.id) == [JobState.CANCELLED] * 3,
        timeout_seconds=30,
        what="cancelled children",
    )
    assert 1 == len(list(tmp_path.glob("began-*")))


def test_workers_die_in_the_middle_of_a_fan_out(held: Platform, tmp_path: Path):
    """No child is lost, the parent goes on once, with all results in order."""
    workers = [a_worker(held, worker_slots=5) for _ in range(2)]
    parent = child_tasks.count_up.enqueue_sync(str(tmp_path), 300)
    until(lambda: len(ends(tmp_path)) > 30, timeout_seconds=60, what="some of the children to end")
    workers[0].kill()
    a_worker(held, worker_slots=5)
    assert [2 * number for number in range(300)] == parent.result_sync(timeout_seconds=60)
    assert 1 == len(list(tmp_path.glob("over-*")))
    assert {1} == {job.attempt for job in held.jobs([parent.id])}


@pytest.mark.outage
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_children_and_a_worker_killed_every_five_seconds(held: Platform, tmp_path: Path):
    """The parent resumes once, with 10,000 results, and no child that completed ran again."""
    settings = {"worker_slots": 50, "lease_seconds": 2.0, "beat_seconds": 0.5}
    workers = [a_worker(held, **settings) for _ in range(2)]
    parent = child_tasks.count_up.enqueue_sync(str(tmp_path), MANY)
    began = time.monotonic()
    for number in itertools.count():
        due = began + (number + 1) * KILL_EVERY_SECONDS
        until(
            lambda due=due: time.monotonic() >= due or held.ledger.job(parent.id).state.is_final,
            timeout_seconds=2 * KILL_EVERY_SECONDS,
            what="the next kill, or the end",
        )
        if held.ledger.job(parent.id).state.is_final:
            break
        workers.pop(0).kill()
        workers.append(a_worker(held, **settings))
    assert [2 * number for number in range(MANY)] == parent.result_sync(timeout_seconds=5)
    assert 1 == len(list(tmp_path.glob("over-*"))), "the parent went on once"
    assert number >= 2, "workers were killed"
    found = ends(tmp_path)
    assert MANY == len(found)
    # Who was killed at its end, before that was written, began once more: at most what one worker ran.
    again = sum(count - 1 for count in found.values())
    assert again <= number * settings["worker_slots"]
    seconds = time.monotonic() - began
    print(f"{MANY} children, {seconds:.0f} s, {number} workers killed, {again} ran again")  # noqa: T201 -- the report
