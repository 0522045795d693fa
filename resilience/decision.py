"""The one retry decision: what an attempt came to becomes one Outcome.

Nothing else decides about retrying.
"""

from holdfast.jobs import outcome, signals
from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Job
from holdfast.jobs.outcome import Outcome
from holdfast.jobs.state import QuarantineReason
from holdfast.resilience.backoff import full_jitter
from holdfast.resilience.faults import Fault, classify
from holdfast.resilience.retry import RetryPolicy


def decide(job: Job, error: BaseException, policy: RetryPolicy, *, jitter: float) -> Outcome:
    """Turn what a handler raised into the outcome of the attempt.

    `jitter` is a random number in [0, 1); `job` is the row as it was claimed,
    so `job.attempt` is the attempt that raised and `job.wake_seq` is older
    than any decision to park.
    """
    if isinstance(error, signals.Signal):
        return _obey(job, error, policy, jitter)
    failure = Failure.of(error)
    fault = _judge(error, policy)
    if fault is Fault.PERMANENT:
        return outcome.Quarantine(QuarantineReason.PERMANENT, failure)
    most = policy.max_attempts
    if fault is Fault.UNKNOWN:
        most = min(most, policy.unknown_attempts)
    return _again(job, failure, policy, most, jitter)


def _obey(job: Job, signal: signals.Signal, policy: RetryPolicy, jitter: float) -> Outcome:
    match signal:
        case signals.Retry():
            failure = Failure(type="Retry", message=signal.reason)
            return _again(job, failure, policy, policy.max_attempts, jitter, at_least=signal.delay_seconds)
        case signals.Snooze():
            return outcome.Snooze(
                delay_seconds=max(signal.delay_seconds or 0.0, 0.0), until=signal.until, reason=signal.reason
            )
        case signals.Park():
            return outcome.Park(waiting_for=signal.waiting_for, reason=signal.reason, wake_seq=job.wake_seq)
        case signals.Cancel():
            return outcome.Cancel(reason=signal.reason)
        case _:
            reason = getattr(signal, "reason", "")
            return outcome.Quarantine(
                QuarantineReason.PERMANENT, Failure(type=type(signal).__name__, message=str(reason))
            )


def _judge(error: BaseException, policy: RetryPolicy) -> Fault:
    if isinstance(error, policy.give_up_on):
        return Fault.PERMANENT
    if isinstance(error, policy.retry_on):
        return Fault.TRANSIENT
    return classify(error)


def _again(
    job: Job,
    failure: Failure,
    policy: RetryPolicy,
    most: int,
    jitter: float,
    *,
    at_least: float | None = None,
) -> Outcome:
    if job.attempt >= most:
        return outcome.Quarantine(QuarantineReason.ATTEMPTS_EXHAUSTED, failure)
    if at_least is not None:
        return outcome.Retry(delay_seconds=max(at_least, 0.0), failure=failure)
    wait = full_jitter(
        job.attempt, base_seconds=policy.base_seconds, cap_seconds=policy.cap_seconds, fraction=jitter
    )
    return outcome.Retry(delay_seconds=wait, failure=failure)
