"""Why a job waits: what nobody would guess from its state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.jobs.job import Job, WorkerRow
from holdfast.jobs.state import JobState, Move
from holdfast.ledger import Ledger
from holdfast.ledger.records import OfferRow, PausedQueue


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a job depends on to begin: who lives, what they run, and which queues are paused."""

    workers: Sequence[WorkerRow] = ()
    offers: Sequence[OfferRow] = ()
    pauses: Sequence[PausedQueue] = ()
    parked_at: datetime | None = None
    """When it began to wait for what it is parked on."""


def surroundings_of(job: Job, ledger: Ledger) -> Surroundings:
    """Read what this job depends on; nothing for one that does not wait."""
    if job.state.is_final or job.state is JobState.RUNNING:
        return Surroundings()
    parks = [moment.at for moment in ledger.history(job.id) if moment.kind == Move.PARK]
    parked_at = parks[-1] if parks and job.state is JobState.PARKED else None
    return Surroundings(ledger.workers(), ledger.offers(), ledger.paused_queues(), parked_at)


def why_it_waits(job: Job, around: Surroundings) -> list[str]:
    """Say what keeps a job from beginning now or, if it is for later, then; nothing where all is well."""
    if job.state.is_final or job.state is JobState.RUNNING:
        return []
    return list(_reasons(job, around))


def _reasons(job: Job, around: Surroundings) -> Iterator[str]:
    if job.waiting_for is not None:
        since = f" since {around.parked_at:%Y-%m-%d %H:%M:%S}" if around.parked_at is not None else ""
        yield f"it is parked{since}, waiting for {job.waiting_for}"
    for pause in around.pauses:
        if pause.queue == job.queue:
            yield f"queue {job.queue} is {pause.remark}; `holdfast queue resume {job.queue}` opens it"
    readers = {worker.id: worker for worker in around.workers if job.queue in worker.queues}
    offers = [offer for offer in around.offers if offer.task == job.task]
    versions = [offer for offer in offers if offer.version == job.version]
    able = [readers[offer.worker_id] for offer in versions if offer.worker_id in readers]
    if not around.workers:
        yield "no live worker"
    elif not readers:
        yield f"no live worker reads queue {job.queue}"
    elif not offers:
        yield f"no live worker offers task {job.task}"
    elif not versions:
        yield f"no live worker offers version {job.version} of task {job.task}"
    elif not able:
        yield f"no live worker that reads queue {job.queue} offers task {job.task}"
    elif job.cohort is not None and not any(worker.has_lane for worker in able):
        yield (
            f"no live worker that reads queue {job.queue} and offers task {job.task}"
            " has room for isolated jobs: set HOLDFAST_WORKER_ISOLATED_PROCESSES"
        )
