"""The ladder: who answers, who is not asked, and what an answer says of itself."""

import asyncio

import pytest

from holdfast.resilience.breaker.message import Message, Order
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.ladder.answer import Answer, Degraded
from holdfast.resilience.ladder.ladder import Ladder
from holdfast.resilience.ladder.rungs import Asked, Fallback, Found, Primary
from holdfast.resilience.ladder.share import MovingShare


class Kept:
    """A rung that knows what the primary said last."""

    name = "cached"

    def __init__(self) -> None:
        self.values: dict[object, object] = {}

    def find(self, asked: Asked) -> Found:
        return Found(self.values[asked.arguments], age_seconds=5.0)

    async def afind(self, asked: Asked) -> Found:
        return self.find(asked)

    def keep(self, asked: Asked, value: object) -> None:
        self.values[asked.arguments] = value


class World:
    """Two upstreams, what they answer, and who was asked."""

    def __init__(self, **options: object) -> None:
        fleet = Fleet()
        fleet.reporter.start = lambda: None
        self.answers: dict[str, object] = {"one": "from one", "two": "from two"}
        self.asked: list[str] = []
        self.cached = Kept()
        self.primary_guard = Guard("one", retry=None, fleet=fleet)
        second = Guard("two", retry=None, fleet=fleet)
        self.ladder: Ladder = Ladder(
            Primary(self.primary_guard, self._asker("one")),
            Fallback("other", second, self._asker("two"), is_equal=True, **options),
            self.cached,
        )
        self.aladder: Ladder = Ladder(
            Primary(self.primary_guard, self._aasker("one")),
            Fallback("other", second, self._aasker("two"), is_equal=True, **options),
            self.cached,
        )

    def _asker(self, name: str):
        def ask(_: str) -> object:
            self.asked.append(name)
            answer = self.answers[name]
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return ask

    def _aasker(self, name: str):
        ask = self._asker(name)

        async def aask(question: str) -> object:
            return ask(question)

        return aask

    def both(self, **options: object) -> Answer:
        """Ask in both colours; they agree."""
        sync = self.ladder.call("q", **options)
        assert sync == asyncio.run(self.aladder.acall("q", **options))
        return sync


def test_the_primary_answers_while_it_can():
    """And nobody else is asked."""
    world = World()
    assert Answer("from one") == world.both()
    assert ["one", "one"] == world.asked


def test_another_one_answers_and_says_so():
    """With the rung's name, and why the primary did not."""
    world = World()
    world.answers["one"] = ConnectionError()
    assert Answer("from two", Degraded("other", "ConnectionError")) == world.ladder.call("q")


def test_an_open_primary_costs_nothing():
    """It is not called; the fallback is asked at once."""
    world = World()
    reporter, breaker = world.primary_guard.fleet.reporter, world.primary_guard.breaker
    own = reporter._own  # noqa: SLF001 -- the store of a process on its own
    order = Message("operator", 0, order=Order.ISOLATE, order_reason="incident")
    breaker.learn(own.exchange("one", order, Terms.of(breaker.policy)), breaker.now())
    assert Degraded("other", "breaker_open") == world.ladder.call("q").degraded
    assert ["two"] == world.asked


def test_an_older_answer_is_better_than_none():
    """It says how old it is."""
    world = World()
    world.ladder.call("q")
    world.answers.update(one=ConnectionError(), two=TimeoutError())
    assert Answer("from one", Degraded("cached", "ConnectionError, TimeoutError", 5.0)) == world.ladder.call(
        "q"
    )


def test_who_may_not_be_asked_is_not():
    """A step that wants the primary or nothing gets what the primary raised."""
    world = World()
    world.answers["one"] = error = ConnectionError()
    with pytest.raises(ConnectionError) as raised:
        world.ladder.call("q", allow=())
    assert error is raised.value
    assert ["one"] == world.asked


@pytest.mark.parametrize("error", [KeyError("bad input"), TypeError()])
def test_a_fault_of_the_call_itself_goes_nowhere_else(error):
    """Another upstream would say the same."""
    world = World()
    world.answers["one"] = error
    with pytest.raises(type(error)):
        world.both()
    assert ["one"] == world.asked


def test_few_move_at_first():
    """A fifth in the first ten seconds, all after fifty; after a quiet minute it begins anew."""
    share = MovingShare()
    assert 20 == sum(share.may_move(5.0) for _ in range(100))
    assert 60 == sum(share.may_move(15.0) for _ in range(100))
    assert all(share.may_move(56.0) for _ in range(100))
    assert 1 == sum(share.may_move(200.0) for _ in range(5))


def test_a_fallback_has_a_purse():
    """What is spent within the hour is spent; then the next rung is asked."""
    world = World(cost=2.0, most_cost_an_hour=3.0)
    world.answers["one"] = ConnectionError()
    assert "other" == world.ladder.call("q").degraded.rung
    for _ in range(4):
        with pytest.raises(ConnectionError):
            world.ladder.call("q")
    assert 1 == world.asked.count("two")


def test_what_makes_no_sense_is_refused():
    """A fallback that is not declared equal, and two rungs of one name."""
    guard = Guard("x", fleet=Fleet())
    with pytest.raises(ValueError, match="declared equal"):
        Fallback("y", guard, print, is_equal=False)
    fallback = Fallback("y", guard, print, is_equal=True)
    with pytest.raises(ValueError, match="one name"):
        Ladder(Primary(guard, print), fallback, fallback)


def test_who_stops_a_call_stops_the_ladder():
    """A cancellation is not an outage: nobody else is asked."""
    world = World()
    world.answers["one"] = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        world.ladder.call("q")
    assert ["one"] == world.asked
