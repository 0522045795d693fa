"""The cached rung of a ladder: what the primary said before, its age, and whose it is."""

import asyncio

import pytest

from holdfast.jobs.errors import BreakerOpen
from holdfast.resilience.cache.cache import Cache
from holdfast.resilience.errand import CURRENT, Errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.ladder.answer import Answer, Degraded
from holdfast.resilience.ladder.cached import Cached
from holdfast.resilience.ladder.ladder import Ladder
from holdfast.resilience.ladder.rungs import Primary
from holdfast.testing.clock import FakeClock
from holdfast.tests.support.waiting import until_async


class World:
    """An upstream that answers until it is ill, and what is kept of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.fleet = Fleet(clock=self.clock)
        self.fleet.reporter.start = lambda: None
        self.guard = Guard("upstream", retry=None, fleet=self.fleet)
        self.cache = Cache("answers", ttl_seconds=1, stale_if_error_seconds=100, fleet=self.fleet)
        self.is_ill = False

    def ask(self, question: str) -> object:
        if self.is_ill:
            raise ConnectionError
        return f"answer to {question}"

    async def aask(self, question: str) -> object:
        return self.ask(question)

    def ladder(self, function) -> Ladder:
        return Ladder(Primary(self.guard, function), Cached(self.cache))


@pytest.fixture
def world() -> World:
    """Everything in memory."""
    return World()


def test_the_last_answer_stands_in_and_says_how_old_it_is(world):
    """For as long as the cache keeps it; then the primary's error is raised."""
    ladder = world.ladder(world.ask)
    assert Answer("answer to a") == ladder.call("a")
    world.is_ill = True
    world.clock.advance(50)
    assert Answer("answer to a", Degraded("cached", "ConnectionError", 50.0)) == ladder.call("a")
    with pytest.raises(ConnectionError):
        ladder.call("b")
    world.clock.advance(50)
    with pytest.raises(ConnectionError):
        ladder.call("a")


def test_it_does_so_on_an_event_loop(world):
    """Where the answer is kept by a thread."""

    async def play() -> Answer:
        ladder = world.ladder(world.aask)
        await ladder.acall("a")

        async def is_kept() -> bool:
            return world.cache.lookup([["a"], {}]) is not None

        await until_async(is_kept, what="the answer is kept")
        world.is_ill = True
        world.clock.advance(50)
        return await ladder.acall("a")

    assert Answer("answer to a", Degraded("cached", "ConnectionError", 50.0)) == asyncio.run(play())


def test_a_job_never_gets_the_answer_of_another_tenant(world):
    """Though they asked the same."""
    ladder = world.ladder(world.ask)
    token = CURRENT.set(Errand(tenant="one"))
    ladder.call("a")
    world.is_ill = True
    assert ladder.call("a").degraded
    CURRENT.reset(token)
    token = CURRENT.set(Errand(tenant="other"))
    with pytest.raises((ConnectionError, BreakerOpen)):
        ladder.call("a")
    CURRENT.reset(token)


def test_an_answer_that_is_no_json_is_given_and_not_kept(world):
    """The primary answered; that it cannot be kept is no reason to fail."""
    thing = object()
    assert thing is world.ladder(lambda: thing).call().value
