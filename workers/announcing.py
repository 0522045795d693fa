"""What is told of the end of an attempt."""

from holdfast.jobs.events import JobSettled
from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Settled
from holdfast.jobs.outcome import Outcome, Quarantine
from holdfast.jobs.state import JobState
from holdfast.workers.attempt import RunningAttempt


def settled_event(attempt: RunningAttempt, result: Outcome, settled: Settled, seconds: float) -> JobSettled:
    """Tell what the ledger wrote."""
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
