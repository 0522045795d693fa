"""What an answer of some age is good for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resilience.cache.lifetimes import Freshness, Lifetimes

SECONDS = st.floats(0, 1e6)
ORDER = list(Freshness)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, "fresh"), (9.9, "fresh"), (10, "stale"), (29.9, "stale"), (30, "old"), (99, "old"), (100, "gone")],
)
def test_the_borders(age, expected):
    """Fresh for 10 s, stale for 20 more, and for nobody at 100."""
    lifetimes = Lifetimes(10, stale_seconds=20, stale_if_error_seconds=100)
    assert expected == lifetimes.freshness(age).value


@given(st.floats(0.001, 1e6), SECONDS, SECONDS, SECONDS, SECONDS)
def test_an_answer_never_gets_better(ttl, stale, if_error, one, other):
    """The older one is good for no more than the younger one; and none is kept that is good for nothing."""
    lifetimes = Lifetimes(ttl, stale, if_error)
    young, old = sorted((one, other))
    assert ORDER.index(lifetimes.freshness(young)) <= ORDER.index(lifetimes.freshness(old))
    assert Freshness.GONE is lifetimes.freshness(lifetimes.kept_seconds)


@pytest.mark.parametrize("times", [(0,), (-1,), (float("nan"),), (1, -1), (1, 0, -1), (1, float("nan"))])
def test_times_that_make_no_sense_are_refused(times):
    """Where the cache is made, and not when it is used."""
    with pytest.raises(ValueError, match="seconds"):
        Lifetimes(*times)
