"""By how many processes a fleet divides its limits while the shared store is lost."""

import itertools
from fractions import Fraction

import pytest

from holdfast.workers.headcount import Headcount


def a_headcount(*, workers: int, now: int = 0, most: int = 4) -> Headcount:
    """As a worker has it, with so many isolated processes of so many that it may have."""
    made = Headcount(isolated=lambda: now, most_isolated=most)
    made.note(workers)
    return made


def test_nobody_counts_before_the_first_look():
    """A worker that has not heard of others takes the limit for its own, as a program without a fleet."""
    headcount = Headcount(isolated=lambda: 0, most_isolated=4)
    assert (0, 0) == (headcount.of_worker(), headcount.of_isolated())


def test_the_share_follows_the_latest_look():
    """Workers come and go."""
    headcount = a_headcount(workers=1)
    shares = []
    for workers in (3, 2):
        headcount.note(workers)
        shares.append(headcount.of_worker())
    assert [3, 2] == shares


@pytest.mark.parametrize(("workers", "most"), [*itertools.product((1, 3, 50), (0, 1, 4, 64))])
def test_a_worker_and_its_processes_never_take_more_than_its_part(workers, most):
    """However many of its isolated processes there are just now."""
    for now in range(most + 1):
        headcount = a_headcount(workers=workers, now=now, most=most)
        taken = Fraction(1, headcount.of_worker()) + now * Fraction(1, headcount.of_isolated())
        assert taken <= Fraction(1, workers)
