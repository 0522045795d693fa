"""The people of a run: they cancel, approve and requeue, and ask again until they have an answer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from holdfast.jobs.children import child_id
from holdfast.jobs.errors import IllegalTransition, LedgerUnavailable
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState
from holdfast.tests.simulation.fibers import Kernel
from holdfast.tests.simulation.judge import Judge
from holdfast.tests.simulation.parts import COLLECTED

_LOOK_SECONDS = 0.3


class Desk:
    """Each errand is a process of its own; one that dies is begun again."""

    def __init__(self, kernel: Kernel, judge: Judge, ledger: Any) -> None:
        self._kernel = kernel
        self._judge = judge
        self._ledger = ledger
        self.approved: set[str] = set()
        self._asked: set[str] = set()
        self._done: list[tuple[str, Callable[[], object]]] = []
        self._failovers = 0
        self.open = 0
        """Errands that are not done."""

    def begin(self) -> None:
        """Take up what is known from the start."""
        for job in self._judge.jobs:
            part = job.id.partition(":")[2]
            if part.startswith("cancelled-while-"):
                state = JobState(part.removeprefix("cancelled-while-"))
                self._errand(f"cancel-{state}", partial(self._cancel, job.id, state))
            elif part == "doomed":
                self._errand("requeue", partial(self._requeue, job.id))
            elif part == "cancelled-with-its-children":
                self._errand("cancel-parent", partial(self._cancel, job.id, JobState.PARKED))
            elif part == "waits-for-a-cancelled-child":
                child = child_id(job.id, "map:1", 0, 1)
                self._errand("cancel-child", partial(self._cancel_child, job.id, child))
            elif part == "collects":
                child = child_id(job.id, "map:1", COLLECTED.index("doomed"), 1)
                self._errand("requeue-child", partial(self._requeue_child, job.id, child))

    def ask_for_approval(self, job_id: JobId, seconds: float) -> None:
        """Let somebody approve a job after a while, once."""
        if job_id not in self._asked:
            self._asked.add(job_id)
            self._errand("approve", partial(self._approve, job_id, seconds))

    def ask_again(self) -> None:
        """Repeat what was answered: the database has forgotten some of its last answers."""
        self._failovers += 1
        done, self._done = self._done, []
        for name, work in done:
            self._errand(name, work)

    def _errand(self, name: str, work: Callable[[], object]) -> None:
        self.open += 1
        self._start(name, work)

    def _start(self, name: str, work: Callable[[], object]) -> None:
        is_done = False

        def main() -> None:
            nonlocal is_done
            self._until_answered(work)
            is_done = True
            self.open -= 1
            self._done.append((name, work))
            self._kernel.exit()

        self._kernel.start_process(name, "desk", main, lambda: None if is_done else self._start(name, work))

    def _until_answered(self, work: Callable[[], object]) -> None:
        while True:
            failovers = self._failovers
            try:
                work()
            except LedgerUnavailable:
                self._kernel.sleep(0.5)
                continue
            if failovers == self._failovers:
                return

    def _cancel(self, job_id: JobId, state: JobState) -> None:
        self._wait_for(job_id, state)
        self._kernel.sleep(self._kernel.random.random())
        self._ledger.cancel(job_id, "not wanted")

    def _requeue(self, job_id: JobId) -> None:
        self._wait_for(job_id, JobState.QUARANTINED)
        self._kernel.sleep(self._kernel.random.random())
        try:
            self._ledger.requeue(job_id)
        except IllegalTransition:
            # Requeued before, and the answer was lost.
            return

    def _requeue_child(self, parent_id: JobId, job_id: JobId) -> None:
        rows = self._judge.rows
        while not rows[parent_id].is_final:
            child = self._judge.rows.get(job_id)
            if child is not None and child.state == JobState.QUARANTINED:
                self._requeue(job_id)
                return
            self._kernel.sleep(_LOOK_SECONDS)
            rows = self._judge.rows

    def _cancel_child(self, parent_id: JobId, job_id: JobId) -> None:
        while not self._judge.rows[parent_id].is_final:
            child = self._judge.rows.get(job_id)
            if child is not None and child.state == JobState.PARKED:
                self._ledger.cancel(job_id, "not wanted")
                return
            self._kernel.sleep(_LOOK_SECONDS)

    def _approve(self, job_id: JobId, seconds: float) -> None:
        self._kernel.sleep(seconds)
        self.approved.add(job_id)
        self._ledger.wake(job_id)

    def _wait_for(self, job_id: JobId, state: JobState) -> None:
        while (row := self._judge.rows[job_id]).state != state and not row.is_final:
            self._kernel.sleep(_LOOK_SECONDS)
