"""The one retry decision: what an attempt came to becomes one Outcome.

Nothing else decides about retrying.
"""

from datetime import datetime
from typing import Final, cast

from holdfast.jobs import outcome, signals
from holdfast.jobs.errors import RejectedError
from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Job
from holdfast.jobs.outcome import Outcome
from holdfast.jobs.state import QuarantineReason
from holdfast.resilience.backoff import full_jitter
from holdfast.resilience.faults import Fault, Judgement, judge
from holdfast.resilience.retry import RetryPolicy
from holdfast.resilience.retry_after import wait_seconds

_SPREAD_SHARE: Final = 0.1
_LEAST_SPREAD_SECONDS: Final = 1.0
_LONGEST_REASON: Final = 500
_REFUSED_SECONDS: Final = 5.0
"""Until a permit is free that nobody gave a time for; calls take seconds, and each try costs a claim."""
_NO_RETRY: Final = 1
"""`max_attempts` of a task whose handler may not be started twice."""


def decide(job: Job, error: BaseException, policy: RetryPolicy, *, now: datetime, jitter: float) -> Outcome:
    """Turn what a handler raised into the outcome of the attempt.

    `jitter` is a random number in [0, 1); `job` is the row as it was claimed,
    so `job.attempt` is the attempt that raised and `job.wake_seq` is older
    than any decision to park. `now` turns an upstream's dates into waits.

    A call that was refused before it was made, and an upstream's pushback, give
    the attempt back: the job did nothing wrong. Its total age and its number of
    claims bound that, as for any Snooze; and a task with `max_attempts=1` is
    not started again for it either.
    """
    if isinstance(error, signals.Signal):
        return _obey(job, error, policy, jitter)
    refusal = _refusal(error)
    if refusal is not None and policy.max_attempts > _NO_RETRY and not isinstance(error, policy.give_up_on):
        return wait_out(job, refusal, policy, jitter=jitter)
    failure = Failure.of(error)
    judgement = _judge(error, policy, now)
    match judgement.fault:
        case Fault.PERMANENT | Fault.FATAL:
            return outcome.Quarantine(QuarantineReason.PERMANENT, failure)
        case Fault.PUSHBACK if policy.max_attempts > _NO_RETRY:
            # The attempts do not grow here; the claims do, so who is pushed back often asks ever less often.
            wait = _backoff(job.claims, policy, jitter)
            return outcome.Snooze(
                delay_seconds=_not_before(judgement.retry_after_seconds or 0.0, wait, jitter),
                reason=f"{failure.type}: {failure.message}"[:_LONGEST_REASON],
            )
        case Fault.UNKNOWN | Fault.NEUTRAL:
            most = min(policy.max_attempts, policy.unknown_attempts)
        case _:
            most = policy.max_attempts
    return _again(job, failure, policy, most, jitter, not_before=judgement.retry_after_seconds)


def wait_out(job: Job, refusal: RejectedError, policy: RetryPolicy, *, jitter: float) -> Outcome:
    """Turn a refusal into a wait that spends no attempt: until the upstream is back, or for a time.

    Also for an attempt whose handler was not started, whatever `max_attempts` says.
    """
    reason = Failure.of(refusal).message[:_LONGEST_REASON]
    asked = wait_seconds(refusal.retry_after_seconds)
    if refusal.upstream:
        waiting_for = f"{outcome.UPSTREAM}{refusal.upstream}"
        return outcome.Park(waiting_for, reason=reason, wake_seq=job.wake_seq, earliest_seconds=asked or 0.0)
    if asked is None:
        asked = max(_REFUSED_SECONDS, _backoff(job.claims, policy, jitter))
    return outcome.Snooze(delay_seconds=_not_before(asked, 0.0, jitter), reason=reason)


def _refusal(error: BaseException) -> RejectedError | None:
    """Return the refusal that an error is; a task group may have gathered several, and then nothing else."""
    if isinstance(error, RejectedError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    members = cast("BaseExceptionGroup[BaseException]", error).exceptions
    refusals = [_refusal(one) for one in members]
    found = [one for one in refusals if one is not None]
    if len(found) < len(refusals):
        return None
    return next((one for one in found if one.upstream), found[0])


def _obey(job: Job, signal: signals.Signal, policy: RetryPolicy, jitter: float) -> Outcome:
    match signal:
        case signals.Retry():
            failure = Failure(type="Retry", message=signal.reason)
            return _again(job, failure, policy, policy.max_attempts, jitter, exactly=signal.delay_seconds)
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


def _judge(error: BaseException, policy: RetryPolicy, now: datetime) -> Judgement:
    judgement = judge(error, now=now)
    if isinstance(error, policy.give_up_on):
        return Judgement(Fault.PERMANENT)
    # A pushback is tried again anyway, and at a better time.
    if isinstance(error, policy.retry_on) and judgement.fault is not Fault.PUSHBACK:
        return Judgement(Fault.TRANSIENT, judgement.retry_after_seconds)
    return judgement


def _again(
    job: Job,
    failure: Failure,
    policy: RetryPolicy,
    most: int,
    jitter: float,
    *,
    exactly: float | None = None,
    not_before: float | None = None,
) -> Outcome:
    if job.attempt >= most:
        return outcome.Quarantine(QuarantineReason.ATTEMPTS_EXHAUSTED, failure)
    if exactly is not None:
        return outcome.Retry(delay_seconds=max(exactly, 0.0), failure=failure)
    wait = _backoff(job.attempt, policy, jitter)
    if not_before is not None:
        wait = _not_before(not_before, wait, jitter)
    return outcome.Retry(delay_seconds=wait, failure=failure)


def _backoff(attempt: int, policy: RetryPolicy, jitter: float) -> float:
    return full_jitter(
        attempt, base_seconds=policy.base_seconds, cap_seconds=policy.cap_seconds, fraction=jitter
    )


def _not_before(retry_after: float, backoff: float, jitter: float) -> float:
    """Wait as long as was asked and a little more: who were told one time shall not come at one time."""
    wait = max(retry_after, backoff)
    return wait + jitter * max(_SPREAD_SHARE * wait, _LEAST_SPREAD_SECONDS)
