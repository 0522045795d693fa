"""How long jobs are kept, as the settings say it."""

import pytest

from holdfast.jobs.retention import ENDS, RetentionPolicy
from holdfast.jobs.state import FINAL_STATES, JobState

DAY = 86400.0


def policy(*entries):
    """Read entries; the usual times are a week and a month."""
    return RetentionPolicy.of(entries, completed_seconds=7 * DAY, quarantined_seconds=30 * DAY)


def kept(rules, task, state):
    """Return how long a job is kept: by the one sweep that it belongs to."""
    (sweep,) = [
        one
        for one in rules.sweeps()
        if one.state is state and (one.task == task or (one.task is None and task not in one.others))
    ]
    return sweep.seconds / DAY


def test_the_usual():
    """Without rules cancelled jobs are kept like completed ones, and nothing is stepped over."""
    assert {7.0} == {kept(policy(), "t", state) for state in (JobState.COMPLETED, JobState.CANCELLED)}
    assert 30.0 == kept(policy(), "t", JobState.QUARANTINED)
    assert not any(sweep.steps_over for sweep in policy().sweeps())
    assert set(ENDS) == FINAL_STATES


def test_the_most_particular_rule_holds():
    """Whatever order they stand in; each final job belongs to one sweep."""
    entries = ("a:quarantined=90d", "*:cancelled=1d", "a=2d", "b:completed=1h", "*=5d")
    for given in (entries, entries[::-1]):
        rules = policy(*given)
        assert [2, 2, 90] == [kept(rules, "a", state) for state in ENDS]
        assert [1 / 24, 1, 5] == [kept(rules, "b", state) for state in ENDS]
        assert [5, 1, 5] == [kept(rules, "other", state) for state in ENDS]
        assert all(sweep.steps_over for sweep in rules.sweeps())


def test_a_task_may_have_a_colon_and_an_equals_sign():
    """The last ones count."""
    assert 1.0 == kept(policy("a:b=c:completed=1d"), "a:b=c", JobState.COMPLETED)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("a", "how long"), ("=1d", "how long"), ("a=", "stretch of time"), ("a=1", "stretch of time"),
        ("a:running=1d", "none of completed"), (":completed=1d", "none of"), ("a=1s", "one minute"),
        ("a=999999d", "ten years"), ("a:done=1d", "none of completed"),
    ],
)  # fmt: skip
def test_a_wrong_entry(entry, said):
    """The error names the entry and what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        policy(entry)


def test_two_times_for_one():
    """Are a contradiction."""
    with pytest.raises(ValueError, match="twice"):
        policy("a=1d", "a=2d")
