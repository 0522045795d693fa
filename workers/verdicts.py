"""How an attempt ended, in words: what is to be written, what was, and what is told."""

from dataclasses import dataclass

from holdfast.jobs import outcome
from holdfast.jobs.errors import AttemptTimeout
from holdfast.jobs.events import JobSettled, LeaseWasLost
from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Settled
from holdfast.jobs.outcome import Completed, Outcome, Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.workers.attempt import RunningAttempt


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The job goes to another worker: this one drains, or lacks what the handler needs."""

    why: str = "drain"


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is gone: nothing is written."""


Verdict = Outcome | HandedBack | Lost


def as_written(verdict: Verdict, settled: Settled | None) -> Verdict:
    """Name the end that the ledger wrote, where that is not the one that was asked for."""
    if settled is None:
        return Lost()
    match settled.state:
        case JobState.COMPLETED if not isinstance(verdict, Completed):
            # Completed inside the handler's own transaction; whatever came after it does not count.
            return Completed("null")
        case JobState.CANCELLED if not isinstance(verdict, outcome.Cancel):
            # A cancel was pending, and beats every outcome that is not final (B19).
            return outcome.Cancel(reason="cancelled while it ran")
        case JobState.QUARANTINED if not isinstance(verdict, Quarantine):
            return Quarantine(_why_quarantined(verdict), getattr(verdict, "failure", None))
        case _:
            return verdict


def _why_quarantined(verdict: Verdict) -> QuarantineReason:
    # The row says it for certain; this is for the event.
    match verdict:
        case Completed():
            return QuarantineReason.INVALID_RESULT
        case outcome.Crashed(is_alone=is_alone):
            return QuarantineReason.POISON if is_alone else QuarantineReason.LOST_REPEATEDLY
        case _:
            return QuarantineReason.DEADLINE


def timed_out(attempt: RunningAttempt, limit_seconds: float, error: BaseException | None) -> AttemptTimeout:
    """Make the error of an attempt that was stopped at a limit."""
    timeout = AttemptTimeout(job_id=attempt.lease.job_id, detail=f"stopped after {limit_seconds:g} s")
    timeout.__cause__ = error
    return timeout


def at_deadline(attempt: RunningAttempt, error: BaseException | None) -> AttemptTimeout:
    """Make the error of an attempt that was stopped at the deadline of its job."""
    timeout = AttemptTimeout(job_id=attempt.lease.job_id, detail="stopped at the job's deadline")
    timeout.__cause__ = error
    return timeout


def settled_event(attempt: RunningAttempt, result: Outcome, settled: Settled, seconds: float) -> JobSettled:
    """Make the event of an attempt's end."""
    job = attempt.claim.job
    failure: Failure | None = getattr(result, "failure", None)
    reason = result.reason if isinstance(result, Quarantine) else ""
    state = settled.state or JobState.RUNNING
    return JobSettled(
        job_id=job.id,
        task=job.task,
        queue=job.queue,
        outcome=type(result).__name__.lower(),
        state=state.value,
        attempt=attempt.lease.attempt,
        seconds=seconds,
        reason=str(reason),
        error_type=failure.type if failure is not None else "",
    )


def lease_was_lost(attempt: RunningAttempt, where: str) -> LeaseWasLost:
    """Make the event of a lease that is not ours any more; `where` says who noticed."""
    job = attempt.claim.job
    return LeaseWasLost(job.id, job.task, job.queue, attempt=attempt.lease.attempt, where=where)
