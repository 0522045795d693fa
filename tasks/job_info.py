"""A job, as far as its handler may see it."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.jobs.job import Claim


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job, as far as its handler may see it."""

    id: str
    task: str
    version: str
    queue: str
    attempt: int
    """Counts from 1; an attempt that was handed back does not count."""
    generation: int
    """Raised when an operator requeues the job."""
    priority: int
    tenant: str | None
    tags: tuple[str, ...]
    created_at: datetime
    deadline_at: datetime | None
    trace: str | None
    scheduled_for: datetime | None = None
    """The tick of the schedule that it is for; None for all other jobs."""

    @classmethod
    def of(cls, claim: Claim) -> "JobInfo":
        """Take what a handler may see from a claim."""
        job = claim.job
        return cls(
            id=job.id,
            task=job.task,
            version=job.version,
            queue=job.queue,
            attempt=claim.lease.attempt,
            generation=job.generation,
            priority=job.priority,
            tenant=job.tenant,
            tags=job.tags,
            created_at=job.created_at,
            deadline_at=job.deadline_at,
            trace=job.trace,
            scheduled_for=job.scheduled_for,
        )
