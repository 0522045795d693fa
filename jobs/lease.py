"""The right to run and to end one attempt of one job."""

from dataclasses import dataclass

from holdfast.jobs.ids import JobId, LeaseToken, WorkerId


@dataclass(frozen=True, slots=True, order=True)
class Fence:
    """An order over all claims of a job, for readers and outside receivers.

    Grows at every claim and never goes back; `incarnation` is raised when the
    database may have forgotten commits. It decides nothing inside (B2).
    """

    incarnation: int
    counter: int

    def __str__(self) -> str:
        """Return `incarnation.counter`."""
        return f"{self.incarnation}.{self.counter}"


@dataclass(frozen=True, slots=True)
class Lease:
    """What a claim gives: the token is who may write, the rest is for people and policies."""

    job_id: JobId
    token: LeaseToken
    worker_id: WorkerId
    fence: Fence
    attempt: int
    """Counts from 1; a budget for the retry policy, given back by snooze, park and drain."""
