"""The one retry decision."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs import errors, outcome, signals
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.resilience.backoff import full_jitter
from holdfast.resilience.decision import decide, wait_out
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
    result = decide(replace(JOB, attempt=attempt), error, POLICY, now=NOW, jitter=0.5)
    if isinstance(expected, QuarantineReason):
        assert isinstance(result, outcome.Quarantine)
        assert expected is result.reason
    else:
        assert isinstance(result, expected)


def test_a_policy_of_the_task_overrules_the_classifier():
    """`give_up_on` wins over `retry_on`, and both win over what we think of the class."""
    patient = RetryPolicy(retry_on=(KeyError, Odd), give_up_on=(Odd,))
    assert isinstance(decide(JOB, KeyError("x"), patient, now=NOW, jitter=0.5), outcome.Retry)
    assert isinstance(decide(JOB, Odd("x"), patient, now=NOW, jitter=0.5), outcome.Quarantine)


def test_a_park_carries_the_number_that_was_read_before_the_decision():
    """So the ledger can tell that the job was woken in between (B14)."""
    assert outcome.Park("upstream:x", "busy", wake_seq=7) == decide(
        JOB, signals.Park("upstream:x", reason="busy"), POLICY, now=NOW, jitter=0.5
    )


def test_a_handler_may_ask_for_a_longer_wait():
    """Retry(delay_seconds=) is obeyed to the second."""
    result = decide(JOB, signals.Retry("x", delay_seconds=90), POLICY, now=NOW, jitter=0.1)
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


class RateLimitError(Exception):
    """As OpenAI's client raises it."""

    __module__ = "openai"

    def __init__(self, *, code=None, **headers):
        super().__init__("slow down")
        self.status_code, self.code, self.headers = 429, code, {"Retry-After": headers.get("after")}


def pushed_back(after=None, *, jitter=0.5, policy=POLICY, **fields):
    """Decide about a job that was pushed back."""
    return decide(replace(JOB, **fields), RateLimitError(after=after), policy, now=NOW, jitter=jitter)


@pytest.mark.parametrize("after", ["7", "Mon, 23 Nov 2026 00:00:07 GMT"])
@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 7.0), (0.5, 7.5), (0.999, 7.999)])
def test_a_pushback_is_never_tried_too_early(after, jitter, seconds):
    """Seven seconds as a number or as a date: no job comes before them, and not all at the same time."""
    assert seconds == pytest.approx(pushed_back(after, jitter=jitter).delay_seconds)


def test_a_long_pushback_is_spread_by_a_tenth():
    """A crowd that was told one hour comes back over six minutes."""
    assert 3600 == pushed_back("3600", jitter=0.0).delay_seconds
    assert 3780 == pushed_back("3600", jitter=0.5).delay_seconds


def test_a_pushback_spends_no_attempt():
    """The job did nothing wrong: its last attempt is given back, with a reason that people can read."""
    result = pushed_back("7", attempt=POLICY.max_attempts)
    assert isinstance(result, outcome.Snooze)
    assert "openai.RateLimitError: slow down" == result.reason


def test_who_is_pushed_back_often_asks_ever_less_often():
    """The attempts stand still, so the claims make the waits grow, up to the policy's cap."""
    waits = [pushed_back(claims=claims).delay_seconds for claims in (1, 2, 3, 50)]
    assert [1.5, 2.5, 4.5, 5.5] == waits


def test_a_task_that_may_not_run_twice_is_not_pushed_back():
    """`max_attempts=1` promises that the handler is started once, and a pushback comes from inside of it."""
    result = pushed_back("7", policy=RetryPolicy(max_attempts=1))
    assert isinstance(result, outcome.Quarantine)
    assert QuarantineReason.ATTEMPTS_EXHAUSTED is result.reason


def test_a_fatal_fault_is_quarantined_at_once():
    """No attempt buys money; the job waits in the quarantine until somebody does."""
    result = decide(JOB, RateLimitError(code="insufficient_quota", after="7"), POLICY, now=NOW, jitter=0.5)
    assert isinstance(result, outcome.Quarantine)
    assert QuarantineReason.PERMANENT is result.reason


def test_a_policys_exceptions_are_pushed_back_too():
    """`retry_on` asks for more tries, not for earlier ones; `give_up_on` means what it says."""
    keen = RetryPolicy(retry_on=(RateLimitError,))
    assert isinstance(pushed_back("7", policy=keen), outcome.Snooze)
    assert isinstance(
        decide(JOB, RateLimitError(code="insufficient_quota"), keen, now=NOW, jitter=0.5), outcome.Retry
    )
    assert isinstance(pushed_back("7", policy=RetryPolicy(give_up_on=(RateLimitError,))), outcome.Quarantine)


OPEN = errors.BreakerOpen(upstream="search", retry_after_seconds=60, detail="search is open: streak")
ONCE = RetryPolicy(max_attempts=1)


def refused(error, *, policy=POLICY, jitter=0.5, **fields):
    """Decide about a job whose call was not made."""
    return decide(replace(JOB, **fields), error, policy, now=NOW, jitter=jitter)


def test_a_call_that_our_breaker_refused_waits_for_the_upstream():
    """Its releaser knows better than a time when it is back; the attempt comes back, also the last one."""
    result = refused(OPEN, attempt=POLICY.max_attempts)
    assert isinstance(result, outcome.Park)
    assert ("upstream:search", 7) == (result.waiting_for, result.wake_seq)
    assert "search is open: streak" in result.reason


@pytest.mark.parametrize("kind", [errors.RateLimited, errors.BulkheadFull, errors.BudgetExhausted])
def test_a_refusal_without_an_upstream_waits_for_a_time(kind):
    """As long as it says, and a little spread; the attempt comes back."""
    result = refused(kind(retry_after_seconds=60), attempt=POLICY.max_attempts)
    assert isinstance(result, outcome.Snooze)
    assert 63 == result.delay_seconds


@pytest.mark.parametrize("absurd", [None, -1, float("nan"), float("inf"), "soon"])
def test_a_refusal_that_gives_no_time_waits_ever_longer(absurd):
    """From five seconds on; each try costs a claim, and there are a thousand of them."""
    waits = [
        refused(
            errors.BulkheadFull(retry_after_seconds=absurd), claims=claims, policy=RetryPolicy()
        ).delay_seconds
        for claims in (1, 5, 1000)
    ]
    assert [5.5, 16.8, 157.5] == pytest.approx(waits)


def test_a_refusal_asks_for_at_most_a_day():
    """A number that makes no sense parks nobody for ever."""
    assert refused(errors.RateLimited(retry_after_seconds=1e9), jitter=0.0).delay_seconds <= 86_400


def test_refusals_that_a_task_group_gathered_are_one():
    """`asyncio.TaskGroup` raises a group; with anything else in it, it is not only a refusal."""
    full = errors.BulkheadFull()
    group = BaseExceptionGroup("", [full, ExceptionGroup("", [OPEN])])
    assert "upstream:search" == refused(group).waiting_for
    assert isinstance(refused(ExceptionGroup("", [full])), outcome.Snooze)
    assert isinstance(refused(ExceptionGroup("", [OPEN, ValueError("x")])), outcome.Retry)


@pytest.mark.parametrize("error", [OPEN, errors.RateLimited(retry_after_seconds=5)])
def test_a_task_that_may_not_run_twice_is_not_parked_once_it_has_begun(error):
    """`max_attempts=1` promises that the handler is started once; before its start nothing is promised."""
    result = refused(error, policy=ONCE)
    assert isinstance(result, outcome.Quarantine)
    assert QuarantineReason.ATTEMPTS_EXHAUSTED is result.reason
    assert isinstance(wait_out(JOB, error, ONCE, jitter=0.5), outcome.Park | outcome.Snooze)


def test_a_policy_may_give_up_on_refusals():
    """`give_up_on` means what it says; `retry_on` asks for more tries, not for earlier ones."""
    assert isinstance(refused(OPEN, policy=RetryPolicy(give_up_on=(errors.BreakerOpen,))), outcome.Quarantine)
    assert isinstance(refused(OPEN, policy=RetryPolicy(retry_on=(errors.BreakerOpen,))), outcome.Park)


def test_a_call_that_was_stopped_is_decided_as_what_nobody_knows():
    """Whoever cancels a handler from inside gets one more try, as before."""
    assert isinstance(decide(JOB, asyncio.CancelledError(), POLICY, now=NOW, jitter=0.5), outcome.Retry)
    again = decide(replace(JOB, attempt=2), asyncio.CancelledError(), POLICY, now=NOW, jitter=0.5)
    assert isinstance(again, outcome.Quarantine)


@given(
    after=st.floats(0, 86_400),
    claims=st.integers(0, 1000),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_no_pushback_is_shortened(after, claims, fraction):
    """Whatever luck and history say, the wait is what was asked for, and at most a tenth or a second more."""
    wait = pushed_back(repr(after), jitter=fraction, claims=claims).delay_seconds
    longest = max(after, POLICY.cap_seconds)
    assert after <= wait <= longest + max(0.1 * longest, 1.0)
