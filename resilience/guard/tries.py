"""What has been tried for one call so far, and whether it is tried once more."""

from types import TracebackType
from typing import Final, Self

from holdfast.jobs.clock import Clock, random_fraction
from holdfast.jobs.errors import DeadlinePassed, RejectedError
from holdfast.resilience.errand import Errand
from holdfast.resilience.faults import judge
from holdfast.resilience.guard.call_retry import CallRetry, next_wait
from holdfast.resilience.guard.retry_budget import RetryBudget

PATIENCE_SECONDS: Final = 30.0
"""How long a job that cannot be parked, or has called before, waits for an upstream that refuses."""
SHORT_SECONDS: Final = 1.0
"""What is over sooner than the way through the ledger and back is waited for here: five calls a second are
five calls, and not one for each round of those who make waiting jobs available."""
LEAST_WAIT_SECONDS: Final = 0.05
ALONE_SECONDS: Final = 0.5
"""How long a job waits for a probe or a permit of its own process: nobody releases it with one."""


class Tries:
    """The attempts of one call. Decides, and neither waits nor calls."""

    def __init__(
        self,
        name: str,
        *,
        retry: CallRetry | None,
        budget: RetryBudget,
        patience_seconds: float,
        on: Errand | None,
        clock: Clock,
        expected_seconds: float,
        is_alone: bool = False,
    ) -> None:
        """Begin after the first attempt failed; `expected_seconds` is what an attempt usually takes.

        `is_alone`: this process judges for itself, and asks no store for probes and permits.
        """
        self._name = name
        self._retry = retry
        self._budget = budget
        self._on = on
        self._clock = clock
        self._expected = expected_seconds
        self._patience = patience_seconds
        self._for_turn = ALONE_SECONDS if is_alone else 0.0
        self._attempt = 1
        self._waited = 0.0
        self._is_retry = False
        self._has_spent = False

    def after(self, error: BaseException) -> float | None:
        """Return the seconds to wait before the next attempt; None: the error is the call's."""
        is_ours = isinstance(error, RejectedError) and error.refused_by == self._name
        wait = self._turn(error) if is_ours and isinstance(error, RejectedError) else self._next(error)
        self._is_retry = wait is not None and not is_ours
        return None if wait is None or self._is_too_late(wait) else wait

    def may_go(self) -> bool:
        """Tell, when the wait is over, whether the attempt is made: a retry is paid for now, not before."""
        if not self._is_retry:
            return True
        self._attempt += 1
        self._has_spent = self._budget.try_to_spend()
        return self._has_spent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._has_spent:
            self._has_spent = False
            self._budget.finish()

    def _turn(self, refusal: RejectedError) -> float | None:
        """Wait for our turn: nothing was tried, so nothing is spent but time."""
        if isinstance(refusal, DeadlinePassed):
            return None
        wait = max(refusal.retry_after_seconds or 0.0, LEAST_WAIT_SECONDS)
        if self._waited + wait > self._patience_with(refusal):
            return None
        self._waited += wait
        return wait

    def _patience_with(self, refusal: RejectedError) -> float:
        on = self._on
        if on is None:
            return self._patience
        if on.is_parkable and self._name not in on.called:
            # Its slot is worth more than its place: whoever waits for an upstream waits in the ledger.
            if not refusal.upstream:
                return max(self._patience, SHORT_SECONDS)
            is_soon = (refusal.retry_after_seconds or 0.0) <= LEAST_WAIT_SECONDS
            return self._for_turn if is_soon else 0.0
        return max(self._patience, PATIENCE_SECONDS)

    def _next(self, error: BaseException) -> float | None:
        if self._retry is None:
            return None
        judgement = judge(error, now=self._clock.now())
        return next_wait(self._retry, self._attempt, error, judgement, jitter=random_fraction())

    def _is_too_late(self, wait: float) -> bool:
        on = self._on
        if on is None or on.deadline is None:
            return False
        return self._clock.monotonic() + wait + self._expected >= on.deadline
