"""From what is due to what has ended: rounds of one worker each, the sweeps between them, and the deaths."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.jobs.events import Events, WorkerDeclaredDead
from holdfast.jobs.ids import JobId, new_worker_id
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.tasks.spec import TaskSpec
from holdfast.testing.clock import FakeClock
from holdfast.testing.crash import CrashPlan
from holdfast.testing.life import Life
from holdfast.testing.worker import BEAT_SECONDS, Surroundings, Worker
from holdfast.workers.observer import Observer
from holdfast.workers.services.parents import Parents
from holdfast.workers.services.rescuer import Expirer, Rescuer
from holdfast.workers.services.service import Service
from holdfast.workers.services.stager import Stager
from holdfast.workers.services.turns import Turns

MOST_ATTEMPTS: Final = 100
"""A job that wants to be run more often than this in one call turns in circles."""
MOST_JOBS: Final = 10_000
_BATCH: Final = 500
_NO_OFFER_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs are to run, and whether the clock may be moved to what is due later."""

    queue: str | None = None
    job_id: JobId | None = None
    skips_waits: bool = False

    def of(self, jobs: Sequence[Job], family: set[JobId]) -> list[Job]:
        """Return those of the jobs that are wanted, children of wanted ones with them; `family` remembers."""
        if self.job_id is None:
            return [job for job in jobs if self.queue is None or job.queue == self.queue]
        family.add(self.job_id)
        family.update(job.id for job in jobs if job.parent_id in family)
        return [job for job in jobs if job.id in family]


@dataclass
class Shift:
    """Runs jobs until none is left that is wanted and due. `ran` counts the attempts of each."""

    around: Surroundings
    clock: FakeClock
    specs: Sequence[TaskSpec]
    plan: CrashPlan
    wanted: Wanted
    lease_seconds: float
    first_rows: dict[JobId, Job]
    """Takes each job as it was before its first claim."""
    is_open: bool = False
    ran: Counter[JobId] = field(default_factory=Counter[JobId])
    family: set[JobId] = field(default_factory=set[JobId])

    async def work(self) -> None:
        """Work to the end. Raises AssertionError for a job without end, and for a death that never came."""
        workers: list[Worker] = []
        self.is_open = True
        try:
            is_going_on = True
            while is_going_on:
                workers.append(await self._hired())
                is_going_on = await self._work(workers[-1])
        finally:
            for worker in workers:
                await worker.bury()
            await self._ledger.close_async()
            self.is_open = False
        self.plan.check()

    async def _hired(self) -> Worker:
        worker = Worker(self.around, self.specs, Life(self.plan))
        await worker.start()
        return worker

    async def _work(self, worker: Worker) -> bool:
        """Let a worker work until it has nothing left to do, or cannot; True if another one must go on."""
        while worker.is_fit and (await self._round(worker) or await asyncio.to_thread(self._skip_wait)):
            self._check_end()
        if worker.life.is_over:
            if worker.life.is_unwinding:
                # What it has open in the database ends first, as with the connections of a dead process.
                await worker.bury()
            await asyncio.to_thread(self._notice_death)
            return True
        is_fit = worker.is_fit
        await worker.leave()
        return not is_fit

    async def _round(self, worker: Worker) -> bool:
        jobs = await asyncio.to_thread(self._due)
        before = self.ran.total()
        if jobs:
            await worker.work(jobs)
        return self.ran.total() > before

    @property
    def _ledger(self) -> Ledger:
        return self.around.ledger

    @property
    def _events(self) -> Events:
        return self.around.events

    def _due(self) -> Sequence[Job]:
        job_id = self.wanted.job_id
        if job_id is not None and self._ledger.job(job_id).state.is_final:
            return []
        for service in self._sweeps():
            while service.run_once():
                pass
        due = self.wanted.of(self._jobs(JobState.AVAILABLE), self.family)
        for job in due:
            self.first_rows.setdefault(job.id, job)
        return sorted(due, key=lambda job: (job.priority, job.run_at, job.id))

    def _sweeps(self) -> list[Service]:
        ledger, events = self._ledger, self._events
        return [
            # No breaker is asked here, so nobody waits for a ticket.
            Rescuer(ledger, bool, events=events, pause_seconds=0.0, batch=_BATCH),
            Expirer(
                ledger, events=events, no_offer_seconds=_NO_OFFER_SECONDS, pause_seconds=0.0, batch=_BATCH
            ),
            # A ring is no more than a hint, and here nobody needs one.
            Parents(ledger, pause_seconds=0.0, batch=_BATCH),
            Turns(ledger, pause_seconds=0.0, batch=_BATCH),
            Stager(ledger, bool, epoch=ledger.epoch, events=events, pause_seconds=0.0, batch=_BATCH),
        ]

    def _skip_wait(self) -> bool:
        if not self.wanted.skips_waits:
            return False
        due = [job.run_at for job in self.wanted.of(self._jobs(JobState.SCHEDULED), self.family)]
        if due:
            self.clock.advance_to(min(due))
        return bool(due)

    def _jobs(self, state: JobState) -> list[Job]:
        return self._ledger.list_jobs(states=[state], limit=MOST_JOBS)

    def _notice_death(self) -> None:
        """Let a lease pass in which another worker sees no beat; what the dead one held is then rescued."""
        observer = Observer(new_worker_id(), lease_seconds=self.lease_seconds)
        while True:
            silent = observer.look(self._ledger.workers(), self.clock.monotonic())
            for worker in silent:
                if self._ledger.declare_dead(worker.id, worker.beat_seq):
                    self._events.emit(WorkerDeclaredDead(worker_id=worker.id, name=worker.name))
            if silent:
                return
            self.clock.advance(min(BEAT_SECONDS, self.lease_seconds / 4))

    def _check_end(self) -> None:
        for job_id, times in self.ran.items():
            if times > MOST_ATTEMPTS:
                task = self._ledger.job(job_id).task
                raise AssertionError(f"{task} ({job_id}) ran {times} times, and wants to run again")
