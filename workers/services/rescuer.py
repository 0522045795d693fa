"""The rescuer: running jobs whose worker is gone go back, waiting jobs past their time end visibly."""

from collections.abc import Callable, Sequence

from holdfast.jobs.events import Events, JobExpired, JobHasNoOffer, JobRescued
from holdfast.jobs.job import Leftover
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger


class Rescuer:
    """Frees what dead workers hold and what outlived its attempt.

    A level, not an edge: each sweep sees all that is left (B3).
    """

    name = "rescuer"

    def __init__(
        self,
        ledger: Ledger,
        give_back: Callable[[Sequence[str]], object],
        *,
        events: Events,
        pause_seconds: float,
        batch: int,
    ) -> None:
        """Sweep every `pause_seconds`. `give_back` never blocks, and takes the tickets of the dead.

        The fleet's one probe of an upstream may be among them, and all who wait would wait for its lease.
        """
        self._ledger = ledger
        self._give_back = give_back
        self._events = events
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Free one batch."""
        freed = self._ledger.rescue(self._batch)
        tickets = [left.ticket for left in freed if left.ticket is not None]
        if tickets:
            self._give_back(tickets)
        for left in freed:
            self._events.emit(
                JobRescued(
                    job_id=left.job_id,
                    task=left.task,
                    queue=left.queue,
                    worker_id=left.worker_id or "",
                    state=left.state.value,
                    why=left.why,
                )
            )
        return len(freed) == self._batch


class Expirer:
    """Ends waiting jobs past their deadline or total age, and those that nobody offers to run (B19, B21)."""

    name = "expirer"

    def __init__(
        self, ledger: Ledger, *, events: Events, no_offer_seconds: float, pause_seconds: float, batch: int
    ) -> None:
        """Quarantine a job as unknown after `no_offer_seconds` without a live worker that offers it."""
        self._ledger = ledger
        self._events = events
        self._no_offer_seconds = no_offer_seconds
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """End one batch of each kind."""
        expired = self._ledger.expire(self._batch)
        for left in expired:
            self._events.emit(JobExpired(job_id=left.job_id, task=left.task, queue=left.queue))
        waiting, given_up = self._ledger.without_offer(
            quarantine_after_seconds=self._no_offer_seconds, limit=self._batch
        )
        for left in (*waiting, *given_up):
            self._tell(left)
        return len(expired) == self._batch

    def _tell(self, left: Leftover) -> None:
        waited = self._no_offer_seconds if left.state is JobState.QUARANTINED else 0.0
        self._events.emit(
            JobHasNoOffer(
                job_id=left.job_id, task=left.task, queue=left.queue, waited_seconds=waited, why=left.why
            )
        )
