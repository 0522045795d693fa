"""The model of an outage, with the product's own breaker, ramp, releaser and decision in it."""

import pytest

from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.tests.support.outage.account import account
from holdfast.tests.support.outage.ours import Ours
from holdfast.tests.support.outage.world import LONGEST, World, capacity, ideal_drain

JOBS_A_SECOND = 40.0


def played(policy: BreakerPolicy | None = None, longest: float = LONGEST):
    """One run of forty jobs a second."""
    world = World(Ours(policy), seed=1, jobs_a_second=JOBS_A_SECOND, rejection_cost=0.15, longest=longest)
    return account(world.play(), JOBS_A_SECOND)


@pytest.mark.slow
def test_an_outage_costs_little_and_is_over_soon():
    """Few calls wasted, none lost, no stampede, and not much more than the least possible time."""
    found = played()
    assert found.wasted_down <= 70
    assert found.wasted_after <= 120
    assert found.peak <= 1.3
    assert found.drain_ratio <= 1.5
    assert found.calls_a_job <= 1.02
    assert 0 == found.lost


@pytest.mark.slow
def test_without_its_ramp_it_would_be_a_stampede():
    """A breaker that lets all go at once when a probe went well misses what the ramp is for."""
    found = played(BreakerPolicy(least_rate=1_000_000.0), longest=150.0)
    assert found.peak > 1.3
    assert found.wasted_after > 120


def test_the_model_is_the_one_that_was_measured():
    """At 40 jobs a second 75 s are the least, at 60 jobs 143 s; the upstream comes back at 30 percent."""
    assert 75 == pytest.approx(ideal_drain(40.0), abs=0.5)
    assert 143 == pytest.approx(ideal_drain(60.0), abs=0.5)
    assert [100, 0, 30, 65, 100] == [round(capacity(time)) for time in (0, 60, 120, 150, 180)]
