"""A job whose upstream was ill, in a process that shares its breakers with nobody: it finds out by itself."""

import asyncio
import time

import pytest

from holdfast.jobs.errors import BreakerOpen
from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import MemoryStore
from holdfast.resilience.errand import Errand, errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.tests.support.waiting import until

SHORT = BreakerPolicy(streak=3, open_seconds=0.5, longest_open_seconds=0.5)


@pytest.fixture
def fleet():
    """A process that reports by itself."""
    made = Fleet()
    yield made
    made.stop()


def fallen(fleet: Fleet) -> Guard:
    """A guard whose upstream has failed until its breaker opened."""
    guard = Guard("search", breaker=SHORT, retry=None, fleet=fleet)

    def fail() -> None:
        raise ConnectionError

    for _ in range(SHORT.streak):
        with pytest.raises(ConnectionError):
            guard.call(fail)
    until(lambda: guard.breaker.view.phase is Phase.OPEN, what="an open breaker")
    return guard


def as_a_job(guard: Guard, *, is_async: bool) -> str:
    """Do what a job does that was let go without a ticket: it has one look, and then one call."""
    refusal = guard.fleet.refusal(guard.name)
    if refusal is not None:
        raise refusal

    async def answer() -> str:
        return "fine"

    with errand(Errand(deadline=time.monotonic() + 60.0, is_parkable=True)):
        return asyncio.run(guard.acall(answer)) if is_async else guard.call(lambda: "fine")


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "def"])
def test_alone_one_job_after_the_other_finds_out_that_the_upstream_is_back(fleet, is_async):
    """While the breaker is open none begins; after its time each probes, until it is closed."""
    guard = fallen(fleet)
    with pytest.raises(BreakerOpen):
        as_a_job(guard, is_async=is_async)
    for _ in range(2):
        until(lambda: fleet.refusal("search") is None, what="the end of the time, or of the other probe")
        assert "fine" == as_a_job(guard, is_async=is_async)
    until(lambda: guard.breaker.view.phase in {Phase.RAMP, Phase.CLOSED}, what="a breaker that recovers")


def test_with_a_store_a_job_without_a_ticket_waits_for_the_releaser(fleet):
    """The probe is one for the whole fleet, and who has waited the longest has it."""
    fleet.share(MemoryStore(fleet.clock))
    guard = fallen(fleet)
    until(guard.breaker.may_try, what="the end of the time")
    assert isinstance(fleet.refusal("search"), BreakerOpen)
