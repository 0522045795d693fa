"""A deploy that replaces all workers under load, and brings a new task in the middle."""

import signal
import threading
from pathlib import Path
from typing import Self

import pytest

from holdfast.jobs.state import JobState
from holdfast.ledger.statements.maintenance import NO_OFFER
from holdfast.tests.support import later_tasks, sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import SAMPLE_TASKS

OLD = {"worker_slots": 5, "shutdown_grace_seconds": 0.5}
NEW = {**OLD, "task_modules": f"{SAMPLE_TASKS},{later_tasks.__name__}"}
WORKERS = 3


class Producer:
    """Enqueues jobs of both tasks until it is told to stop, as the first part of a deploy."""

    def __init__(self, folder: Path) -> None:
        self.old: list[str] = []
        self.new: list[str] = []
        self._folder = str(folder)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            number = len(self.old)
            # Some are longer than the grace, and are handed back.
            seconds = 1.5 if number % 10 == 0 else 0.05
            handle = sample_tasks.witness.enqueue_sync(self._folder, f"old-{number}", seconds)
            self.old.append(handle.id)
            if number % 3 == 0:
                handle = later_tasks.later.enqueue_sync(self._folder, f"new-{len(self.new)}", seconds)
                self.new.append(handle.id)


@pytest.mark.outage
@pytest.mark.timeout(400)
def test_a_rolling_restart_with_a_new_task_loses_and_doubles_nothing(held: Platform, tmp_path: Path):
    """Each job ends once, with one attempt, none in the quarantine; new ones wait visibly for new workers."""
    old = [held.worker(**OLD) for _ in range(WORKERS)]
    with Producer(tmp_path) as producer:
        until(
            lambda: producer.new and held.ledger.job(producer.new[0]).detail == NO_OFFER,
            timeout_seconds=30, what="a job that waits visibly",
        )  # fmt: skip
        assert 0 == held.count(producer.new, JobState.COMPLETED)
        for worker in old:
            held.worker(**NEW)
            worker.send_signal(signal.SIGTERM)
            assert 0 == worker.end()
        # A ring that an old worker had to let go comes again soon, though nobody is idle.
        until(lambda: held.count(producer.new[:1], JobState.COMPLETED), timeout_seconds=30, what="a new task")
    ids = [*producer.old, *producer.new]
    held.until_all(ids, JobState.COMPLETED, timeout_seconds=90)
    assert {1} == {job.attempt for job in held.jobs(ids)}
    names = [f"old-{n}" for n in range(len(producer.old))] + [f"new-{n}" for n in range(len(producer.new))]
    assert {1} == {len((tmp_path / f"{name}.end").read_text().splitlines()) for name in names}
    ended = {one.outcome for job in ids for one in held.ledger.attempts(job)}
    assert ended <= {"completed", "handed_back"}
