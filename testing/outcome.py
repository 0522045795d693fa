"""What became of a job."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from holdfast.jobs.errors import ResultTimeout
from holdfast.jobs.events import Event
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Attempt, Job, Progress
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.records import JobMoment
from holdfast.tasks.result_codec import ResultCodec
from holdfast.tasks.waiting import result_text
from holdfast.testing.crash import Point
from holdfast.testing.enqueued import EnqueuedJob

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class JobOutcome(Generic[R]):
    """A job after it was run: all that the ledger knows of it, and what its handler raised.

    A handler that fails raises nothing in the test until `result()` is asked for.
    """

    job: Job = field(repr=False)
    """The row."""
    attempts: tuple[Attempt, ...] = ()
    """Oldest first; `attempt.outcome` is `completed`, `retry`, `snooze`, `park`, `cancel`, `quarantine`,
    `handed_back`, or `lost` for one whose worker died."""
    history: tuple[JobMoment, ...] = ()
    """Each change of its state."""
    progress: tuple[Progress, ...] = ()
    """Each report that reached the ledger, over all attempts."""
    events: tuple[Event, ...] = ()
    """What the worker told of it: what logs and metrics are made of."""
    enqueued: tuple[EnqueuedJob, ...] = ()
    """The jobs that its handler enqueued."""
    error: BaseException | None = None
    """What its handler raised last."""
    passed: tuple[Point, ...] = field(default=(), repr=False)
    """The points that its worker passed, each with its number: where it could be made to die."""
    crashed_at: tuple[Point, ...] = ()
    """Where its workers died."""
    codec: ResultCodec | None = field(default=None, repr=False)

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.job.id

    @property
    def state(self) -> JobState:
        """Where it stands; compares equal to the state's name."""
        return self.job.state

    @property
    def reason(self) -> QuarantineReason | None:
        """Why it is in the quarantine."""
        return self.job.reason

    @property
    def failure(self) -> Failure | None:
        """What went wrong last, as the ledger keeps it."""
        return self.job.failure

    def result(self) -> R:
        """Return what the handler returned, read back from the ledger as a caller gets it.

        Raises JobQuarantined, from the handler's own exception if there was
        one; JobCancelled; ResultTimeout for a job that still waits.
        """
        if not self.state.is_final:
            detail = f"it is {self.state} ({self.job.detail})" if self.job.detail else f"it is {self.state}"
            raise ResultTimeout(job_id=self.id, detail=detail, hint="Run it: drain() also skips waits.")
        try:
            text = result_text(self.job)
        except Exception as error:
            raise error from self.error
        return cast("R", self.codec.load(text) if self.codec is not None else None)

    def __str__(self) -> str:
        """Tell it in a line."""
        came_to = ", ".join(attempt.outcome or "running" for attempt in self.attempts) or "none"
        return f"{self.job.task} is {self.state}; attempts: {came_to}"
