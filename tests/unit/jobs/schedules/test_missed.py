"""What becomes of ticks whose time has passed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.schedules.missed import LATE, Due, Missed, due
from holdfast.jobs.schedules.rule import Every

ANCHOR = datetime(2026, 11, 28, tzinfo=UTC)
TEN = Every(10, ANCHOR)


def tick(number):
    """The tick of this number."""
    return ANCHOR + number * timedelta(seconds=10)


def after(number, seconds):
    """So many seconds after that tick."""
    return tick(number) + timedelta(seconds=seconds)


@pytest.mark.parametrize("missed", Missed)
def test_what_is_not_due_waits(missed):
    """Nothing fires and nothing moves."""
    assert Due((), tick(3)) == due(TEN, tick(3), now=after(3, -0.001), missed=missed, most=9)


@pytest.mark.parametrize("missed", Missed)
def test_a_tick_on_time_fires_whatever_the_policy(missed):
    """One tick, and the one behind it is the next."""
    assert Due((tick(3),), tick(4)) == due(TEN, tick(3), now=tick(3), missed=missed, most=9)
    assert Due((tick(3),), tick(4)) == due(TEN, tick(3), now=after(3, 9.9), missed=missed, most=9)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Missed.ALL, Due((tick(3), tick(4), tick(5)), tick(6))),
        (Missed.ONE, Due((tick(5),), tick(6), left_out_since=tick(3))),
        (Missed.SKIP, Due((tick(5),), tick(6), left_out_since=tick(3))),
    ],
)
def test_after_a_short_absence(missed, expected):
    """`skip` and `one` agree where the last tick is on time."""
    assert expected == due(TEN, tick(3), now=after(5, 1), missed=missed, most=9)


def test_after_a_long_absence_skip_leaves_even_the_last_one_out():
    """It is later than a minute; `one` fires it all the same."""
    hourly = Every(3600, ANCHOR)
    now = hourly.next_after(ANCHOR) + LATE + timedelta(seconds=1)
    first = hourly.next_after(ANCHOR)
    assert Due((), hourly.next_after(now), first) == due(hourly, first, now=now, missed=Missed.SKIP, most=9)
    assert (first,) == due(hourly, first, now=now, missed=Missed.ONE, most=9).ticks
    assert (first,) == due(hourly, first, now=first + LATE, missed=Missed.SKIP, most=9).ticks


@given(
    missed=st.sampled_from(Missed),
    first=st.integers(0, 50),
    seconds=st.floats(0, 900),
    most=st.integers(1, 99),
)
def test_each_tick_fires_once_or_never(missed, first, seconds, most):
    """Called again and again until nothing is due: in order, none twice, none of the future."""
    now, next_tick, fired = after(first, seconds), tick(first), []
    while next_tick <= now:
        answer = due(TEN, next_tick, now=now, missed=missed, most=most)
        assert answer.next_tick > next_tick
        assert len(answer.ticks) <= most
        fired += answer.ticks
        next_tick = answer.next_tick
    every = [tick(number) for number in range(first, first + int(seconds // 10) + 2) if tick(number) <= now]
    assert next_tick == TEN.next_after(now)
    assert fired == (every if missed is Missed.ALL else every[-1:])
