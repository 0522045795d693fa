"""The way back into life of a worker that was declared dead."""

import asyncio

import pytest

from holdfast.jobs.errors import LedgerUnavailable, WorkerNameTaken
from holdfast.jobs.events import ServiceFailed
from holdfast.tests.support.bench import turns
from holdfast.workers.fitness import UNFIT
from holdfast.workers.rebirth import NAME_TAKEN, Rebirth
from holdfast.workers.registration import AskedToLeave
from holdfast.workers.threads import NoThread


class Returning:
    """A worker on its way back: what its two steps meet, and what it tells."""

    def __init__(self, events):
        self.registering, self.working = [], []
        self.taken, self.left = [], []
        self.is_leaving = False
        self.rebirth = Rebirth(
            (self.register, self.work),
            leave=self.left.append,
            is_leaving=lambda: self.is_leaving,
            events=events,
            pause_seconds=0.001,
        )

    async def register(self):
        """Take the first step, or meet what was laid in its way."""
        self.taken.append("register")
        if self.registering:
            raise self.registering.pop()

    async def work(self):
        """Take the second step, or meet what was laid in its way."""
        self.taken.append("work")
        if self.working:
            raise self.working.pop()


@pytest.fixture
def returning(events):
    """One whose way is free."""
    return Returning(events)


def told(seen):
    """Return what went wrong, in words."""
    return [event.error for event in seen if isinstance(event, ServiceFailed)]


def test_a_step_is_taken_until_it_succeeds(returning, seen):
    """Without a ledger, or a thread, it waits and tries again; what was done is not done twice."""
    returning.registering = [NoThread(11, "no thread to ask with"), LedgerUnavailable()]
    returning.working = [NoThread(11, "no thread to beat with")] * 2
    asyncio.run(returning.rebirth.run())
    assert ["register"] * 3 + ["work"] * 3 == returning.taken
    assert ["to ask with", "to beat with", "to beat with"] == [
        error.partition("no thread ")[2] for error in told(seen)
    ]
    assert [] == returning.left


def test_it_comes_back_no_more_once_it_was_asked_to_leave(returning):
    """Also between two steps: a new heartbeat would outlive the stop."""
    returning.registering = [AskedToLeave()]
    asyncio.run(returning.rebirth.run())
    assert ["register"] == returning.taken
    returning.is_leaving = True
    asyncio.run(returning.rebirth.run())
    assert (["register"], []) == (returning.taken, returning.left)


def test_a_name_that_is_taken_has_it_leave(returning, seen):
    """Somebody else works under it by now (B5)."""
    returning.registering = [WorkerNameTaken(detail="worker-1 lives")]
    asyncio.run(returning.rebirth.run())
    assert ([NAME_TAKEN], ["register"]) == (returning.left, returning.taken)
    assert ["worker-1 lives" in error for error in told(seen)] == [True]


def test_what_nobody_foresaw_has_it_leave(returning, seen):
    """A process that lives and does nothing is no use to anybody; its supervisor starts a new one."""
    returning.registering = [ZeroDivisionError("of our own making")]

    async def main():
        returning.rebirth.begin(asyncio.get_running_loop())
        await turns(lambda: returning.left)

    asyncio.run(main())
    assert ([UNFIT], ["of our own making"]) == (returning.left, told(seen))
