"""A size that finds itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resilience.limits.adaptive import AdaptiveLimit, AdaptivePolicy, Level, after

POLICY = AdaptivePolicy(start=10, floor=2, ceiling=12)


def test_a_round_of_successes_adds_one():
    """Ten of a size of ten, then eleven of eleven, up to the ceiling."""
    level, sizes = Level(10), []
    for _ in range(10 + 11 + 50):
        level = after(level, POLICY, is_well=True, cuts_at_start=0, in_use=level.limit)
        sizes.append(level.limit)
    assert [10] * 9 + [11] * 11 + [12] * 51 == sizes


def test_one_overload_cuts_once():
    """Of ten calls that it hit, the first one cuts; those that began after it may cut again."""
    level = Level(10)
    for _ in range(10):
        level = after(level, POLICY, is_well=False, cuts_at_start=0, in_use=10)
    assert Level(7, 0, 1) == level
    assert Level(4, 0, 2) == after(level, POLICY, is_well=False, cuts_at_start=1, in_use=7)


def test_a_size_that_nobody_uses_does_not_grow():
    """Nobody knows whether it is too small."""
    level = Level(10)
    for _ in range(100):
        level = after(level, POLICY, is_well=True, cuts_at_start=0, in_use=4)
    assert Level(10) == level


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 12))))
def test_it_stays_in_its_bounds(ends):
    """Whatever happens; and grows by one at most."""
    level = Level(POLICY.start)
    for is_well, behind, in_use in ends:
        before = level.limit
        cuts = max(level.cuts - behind, 0)
        level = after(level, POLICY, is_well=is_well, cuts_at_start=cuts, in_use=in_use)
        assert POLICY.floor <= level.limit <= min(POLICY.ceiling, before + 1)


@pytest.mark.parametrize(
    "wrong", [{"floor": 0}, {"start": 200}, {"floor": 20}, {"cut_percent": 100}, {"cut_percent": 0}]
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    """At once."""
    with pytest.raises(ValueError, match="AdaptivePolicy"):
        AdaptivePolicy(**wrong)


def test_it_is_a_size():
    """With the usual policy, unless told otherwise."""
    limit = AdaptiveLimit()
    limit.note(is_well=False, cuts_at_start=limit.cuts, in_use=10)
    assert (7, 1) == (limit.limit, limit.cuts)
