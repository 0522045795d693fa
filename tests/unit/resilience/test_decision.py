"""The one retry decision."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs import outcome, signals
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.resilience.backoff import full_jitter
from holdfast.resilience.decision import decide
from holdfast.resilience.retry import RetryPolicy

NOW = datetime(2026, 11, 23, tzinfo=UTC)
JOB = Job(
    id=JobId("j"), task="t", version="1", queue="q", state=JobState.RUNNING, arguments="{}", created_at=NOW,
    run_at=NOW, attempt=1, wake_seq=7,
)  # fmt: skip
POLICY = RetryPolicy(max_attempts=3, base_seconds=2, cap_seconds=10)


class Odd(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (ConnectionResetError("x"), 1, outcome.Retry),
        (TimeoutError("x"), 2, outcome.Retry),
        (TimeoutError("x"), 3, QuarantineReason.ATTEMPTS_EXHAUSTED),
        (ValueError("x"), 1, outcome.Retry),
        (ValueError("x"), 2, QuarantineReason.ATTEMPTS_EXHAUSTED),
        (TypeError("x"), 1, QuarantineReason.PERMANENT),
        (KeyError("x"), 1, QuarantineReason.PERMANENT),
        (Odd("x"), 1, outcome.Retry),
        (Odd("x"), 2, QuarantineReason.ATTEMPTS_EXHAUSTED),
        (signals.Quarantine("x"), 1, QuarantineReason.PERMANENT),
        (signals.Cancel("x"), 1, outcome.Cancel),
        (signals.Retry("x"), 3, QuarantineReason.ATTEMPTS_EXHAUSTED),
    ],
)
def test_what_was_raised_decides_what_becomes_of_the_job(error, attempt, expected):
    """Transient faults are tried again, bugs are not, and the budget of attempts bounds both."""
    result = decide(replace(JOB, attempt=attempt), error, POLICY, jitter=0.5)
    if isinstance(expected, QuarantineReason):
        assert isinstance(result, outcome.Quarantine)
        assert expected is result.reason
    else:
        assert isinstance(result, expected)


def test_a_policy_of_the_task_overrules_the_classifier():
    """`give_up_on` wins over `retry_on`, and both win over what we think of the class."""
    patient = RetryPolicy(retry_on=(KeyError, Odd), give_up_on=(Odd,))
    assert isinstance(decide(JOB, KeyError("x"), patient, jitter=0.5), outcome.Retry)
    assert isinstance(decide(JOB, Odd("x"), patient, jitter=0.5), outcome.Quarantine)


def test_a_park_carries_the_number_that_was_read_before_the_decision():
    """So the ledger can tell that the job was woken in between (B14)."""
    assert outcome.Park("upstream:x", "busy", wake_seq=7) == decide(
        JOB, signals.Park("upstream:x", reason="busy"), POLICY, jitter=0.5
    )


def test_a_handler_may_ask_for_a_longer_wait():
    """Retry(delay_seconds=) is obeyed to the second."""
    result = decide(JOB, signals.Retry("x", delay_seconds=90), POLICY, jitter=0.1)
    assert isinstance(result, outcome.Retry)
    assert 90 == result.delay_seconds


@given(
    attempt=st.integers(-5, 10_000),
    base=st.floats(0, 1e6),
    cap=st.floats(0, 1e6),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_stays_within_its_bounds(attempt, base, cap, fraction):
    """No attempt number makes a wait negative or longer than the cap."""
    assert 0 <= full_jitter(attempt, base_seconds=base, cap_seconds=cap, fraction=fraction) <= cap


@given(attempt=st.integers(1, 60), fraction=st.floats(0, 1, exclude_max=True))
def test_waits_grow_with_the_attempt(attempt, fraction):
    """With the same luck a later attempt never waits less."""
    first, second = (
        full_jitter(n, base_seconds=0.5, cap_seconds=300, fraction=fraction) for n in (attempt, attempt + 1)
    )
    assert first <= second


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"base_seconds": 5, "cap_seconds": 1}, {"unknown_attempts": 0}]
)
def test_a_senseless_policy_is_refused(wrong):
    """The mistake shows at import, not at the first failure."""
    with pytest.raises(ValueError, match="RetryPolicy"):
        RetryPolicy(**wrong)
