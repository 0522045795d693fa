"""Which jobs: what an operator says of those that are to be shown, counted or steered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.types import instant_text


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Lets a job through that fits everything which is given; an empty field lets all through.

    Of several values in a field one is enough, but a job must have all the tags. Instants belong to
    the range that they bound, and are the database's.
    """

    ids: tuple[JobId, ...] = ()
    states: tuple[JobState, ...] = ()
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parents: tuple[JobId, ...] = ()
    """Whose children they are."""
    reasons: tuple[QuarantineReason, ...] = ()
    """Why they were quarantined."""
    created_since: datetime | None = None
    created_until: datetime | None = None
    finished_since: datetime | None = None
    """A bound on the end lets only jobs through that have ended."""
    finished_until: datetime | None = None
    text: str = ""
    """Stands in the detail, or in type, message or traceback of the failure; upper or lower case (ASCII).
    No index serves it: every job that the other fields let through is read."""


EVERY_JOB = JobFilter()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list of all jobs, newest first, a page ends and the next one begins.

    Jobs that come, go or change their state meanwhile move no other job over it.
    """

    created_at: datetime
    job_id: JobId

    def __str__(self) -> str:
        """Write it as one word."""
        return f"{instant_text(self.created_at)},{self.job_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        instant, is_given, job_id = text.partition(",")
        created_at = datetime.fromisoformat(instant)
        if not (is_given and job_id and created_at.tzinfo):
            raise ValueError(f"{text!r:.100} is no place in a list of jobs")
        return cls(created_at, JobId(job_id))


@dataclass(frozen=True, slots=True)
class JobPage:
    """A part of a list of jobs, newest first."""

    jobs: list[Job]
    """Without arguments and results, which may be large: `Ledger.job` reads those."""
    next: Place | None
    """Where the next page begins; None after the last."""


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs fit a filter."""

    at: datetime
    """When they were counted, by the database's clock; a filter that ends there lets none through that
    came later."""
    by_state: Mapping[JobState, int]

    @property
    def total(self) -> int:
        """How many they are in all."""
        return sum(self.by_state.values())
