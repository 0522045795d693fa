"""Faults on purpose: how they are written, what they do to a call, and that nothing is done unasked."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import AttemptTimeout, InjectedFault, InjectedThrottle
from holdfast.jobs.events import Events
from holdfast.jobs.upstream_events import CallStruck, ChaosIsOn
from holdfast.resilience.breaker.verdict import FAILURE, Ending
from holdfast.resilience.chaos import Harm, Injector, Strategy
from holdfast.resilience.chaos_text import strategies_of
from holdfast.resilience.errand import Errand, errand
from holdfast.resilience.faults import Fault, judge
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.call_retry import CallRetry
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.verdicts import verdict_of

CLOCK = SystemClock()

# How it is written.


def test_everything_can_be_said_at_once():
    """The example of the documentation means what it says."""
    text = "search:fault=0.2;503,latency=0.5..2s,hang=0.01 openai*:throttle=0.1;5s *:latency=100ms"
    assert strategies_of(text) == (
        Strategy(
            "search", fault=0.2, status=503, hang=0.01, latency=1.0, least_seconds=0.5, most_seconds=2.0
        ),
        Strategy("openai*", throttle=0.1, retry_after_seconds=5.0),
        Strategy("*", latency=1.0, least_seconds=0.1, most_seconds=0.1),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  \n ", ()),
        ("openai:gpt:fault=1", (Strategy("openai:gpt", fault=1.0),)),
        ("a:hang=1;1m", (Strategy("a", hang=1.0, hang_seconds=60.0),)),
        (
            "a:latency=20ms..1s;0.5",
            (Strategy("a", latency=0.5, least_seconds=0.02, most_seconds=1.0),),
        ),
        ("a:fault=0", (Strategy("a"),)),
    ],
)
def test_what_is_written_is_what_is_meant(text, expected):
    """Names with colons, units of their own, and nothing at all."""
    assert expected == strategies_of(text)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("search", 1, "no strategy"),
        ("search:", 1, "no strategy"),
        (":fault=1", 1, "no upstream's name"),
        ("se*rch:fault=1", 1, "no upstream's name"),
        ("a:fault=1 search:error=1", 18, "is none of fault="),
        ("a:fault", 3, "is none of fault="),
        ("a:fault=1.5", 3, "from 0 to 1"),
        ("a:fault=-1", 3, "from 0 to 1"),
        ("a:fault=nan", 3, "from 0 to 1"),
        ("a:fault=1e-1", 3, "from 0 to 1"),
        ("a:fault=", 3, "from 0 to 1"),
        ("a:fault=0.1;404", 3, "500 to 599"),
        ("a:fault=0.1;", 3, "500 to 599"),
        ("a:hang=0.1,latency=5", 12, "with ms, s or m"),
        ("a:latency=1..2", 3, "with ms, s or m"),
        ("a:latency=2h", 3, "with ms, s or m"),
        ("a:latency=61m", 3, "more than an hour"),
        ("a:latency=2..1s", 3, "shorter end"),
        ("a:fault=0.6,hang=0.6", 3, "more than 1"),
        ("a:fault=0.6,fault=0.1", 13, "a second time"),
        ("a:fault=1 a:hang=1", 11, "twice"),
        ("a:fault=1,,hang=0", 11, "is none of fault="),
    ],
)
def test_a_mistake_is_named_with_its_place(text, place, problem):
    """Counted from 1, where the part begins that is wrong."""
    with pytest.raises(ValueError, match=problem) as caught:
        strategies_of(text)
    assert str(caught.value).startswith(f"at character {place}, ")


@given(st.text(alphabet="a:=;,.*0159smhfault \té", max_size=40))
def test_no_text_does_anything_but_be_read_or_refused(text):
    """Whatever somebody types."""
    try:
        strategies_of(text)
    except ValueError as error:
        assert str(error).startswith("at character ")  # noqa: PT017 -- either way is right


@given(
    st.floats(0, 1).map(lambda share: round(share, 3)),
    st.integers(500, 599) | st.none(),
    st.integers(1, 100),
    st.integers(1, 100),
)
def test_a_strategy_writes_itself_as_it_is_read(fault, status, least, more):
    """So that what is told at the start can be pasted."""
    strategy = Strategy(
        "a",
        fault=fault,
        status=status if fault else None,
        latency=1,
        least_seconds=least,
        most_seconds=least + more,
    )
    assert (strategy,) == strategies_of(str(strategy))


# Who is struck, and how.


def test_the_first_strategy_that_means_an_upstream_holds():
    """Its keys are meant, too; and another one whose name begins so is not."""
    injector = Injector(strategies_of("search:fault=1 open*:hang=1"))
    names = ["search", "search[tenant]", "searching", "openai:gpt", "other"]
    found = [injector.strategy(name) for name in names]
    assert ["search", "search", None, "open*", None] == [one and one.upstream for one in found]


def test_shares_are_those_that_were_asked_for():
    """Of ten thousand calls."""
    text = "a:fault=0.2,hang=0.1,throttle=0.3,latency=1..3s;0.5"
    injector = Injector(strategies_of(text), chance=random.Random(1).random)  # noqa: S311 -- chance, not a secret
    strikes = [injector.before("a") for _ in range(10_000)]
    harms = Counter(Harm.NONE if strike is None else strike.harm for strike in strikes)
    delays = [strike.delay_seconds for strike in strikes if strike is not None and strike.delay_seconds]
    for harm, share in ((Harm.FAULT, 2000), (Harm.HANG, 1000), (Harm.THROTTLE, 3000), (Harm.NONE, 4000)):
        assert abs(share - harms[harm]) < 200
    assert abs(5000 - len(delays)) < 200
    assert 1 <= min(delays) < 1.1
    assert 2.9 < max(delays) <= 3


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_chance_0_never_strikes_and_chance_1_always(chance, spread):
    """At every draw."""
    assert Harm.NONE is Strategy("a").harm(chance)
    assert Harm.THROTTLE is Strategy("a", throttle=1).harm(chance)
    assert 0 == Strategy("a", most_seconds=5).delay(chance, spread)


def test_other_upstreams_are_left_alone():
    """Nothing is even drawn for them."""
    injector = Injector(strategies_of("a:fault=1"), chance=lambda: pytest.fail("drawn"))
    assert None is injector.before("b")


def test_faults_on_purpose_are_judged_as_those_that_they_stand_for():
    """By retries and by breakers."""
    now = CLOCK.now()
    assert Fault.TRANSIENT is judge(InjectedFault("a", status_code=503), now=now).fault
    assert FAILURE == verdict_of(InjectedFault("a"))
    pushed = judge(InjectedThrottle("a", 5.0), now=now)
    assert (Fault.PUSHBACK, 5.0) == (pushed.fault, pushed.retry_after_seconds)
    verdict = verdict_of(InjectedThrottle("a", 5.0))
    assert (Ending.PUSHED, 5.0) == (verdict.ending, verdict.retry_after_seconds)


# Through a guard.


class World:
    """An upstream that is well, its guard, and what was told."""

    def __init__(self, **options) -> None:
        self.told: list[object] = []
        events = Events()
        events.add(self.told.append)
        self.fleet = Fleet(events=events)
        self.fleet.reporter.start = lambda: None
        self.guard = Guard("search", **({"retry": None, "fleet": self.fleet} | options))
        self.calls = 0
        # As most of them are: used before anything was configured.
        self.guarded, self.aguarded = self.guard(self.ask), self.guard(self.aask)
        self.stream = self.guard(self.astream)

    def ask(self) -> int:
        self.calls += 1
        return self.calls

    async def aask(self) -> int:
        return self.ask()

    async def astream(self):
        yield self.ask()

    def strike(self, text: str, chance=lambda: 0.5) -> None:
        self.fleet.strike_by(Injector(strategies_of(text), chance=chance))

    def ways(self):
        """Give each way in which a guard is used."""

        def slot() -> None:
            with self.guard.slot():
                self.ask()

        async def aslot() -> None:
            async with self.guard.slot():
                self.ask()

        async def stream() -> None:
            async for _ in self.stream():
                pass

        yield self.guarded
        yield lambda: asyncio.run(self.aguarded())
        yield lambda: self.guard.call(self.ask)
        yield lambda: asyncio.run(self.guard.acall(self.aask))
        yield slot
        yield lambda: asyncio.run(aslot())
        yield lambda: asyncio.run(stream())
        yield lambda: self.guard.for_key("tenant").call(self.ask)


@pytest.fixture
def world() -> World:
    """A guard that makes each call once."""
    return World()


def test_every_use_of_a_guard_is_struck_also_where_it_was_used_before(world):
    """However it is used, the upstream is not called, and what was done is told."""
    ways = list(world.ways())
    for way in ways:
        way()
    assert len(ways) == world.calls
    world.strike("search:fault=1;503")
    for way in ways:
        with pytest.raises(InjectedFault, match="HTTP 503"):
            way()
    assert len(ways) == world.calls
    told = [type(event) for event in world.told if isinstance(event, (ChaosIsOn, CallStruck))]
    assert [ChaosIsOn] + [CallStruck] * len(ways) == told


def test_when_it_is_off_again_nothing_is_struck_and_the_fast_path_is_back(world):
    """Chaos costs nothing when it is off."""
    world.guarded()
    world.strike("search:fault=1")
    assert not world.guard.breaker.era.passes
    world.fleet.strike_by(None)
    assert world.guard.breaker.era.passes
    assert 2 == world.guarded()


def test_an_upstream_that_is_not_meant_keeps_its_fast_path(world):
    """Only what may be struck goes the long way."""
    world.strike("other:fault=1")
    assert 1 == world.guarded()
    assert world.guard.breaker.era.passes


def test_a_breaker_made_later_is_struck(world):
    """An upstream that is called for the first time."""
    world.strike("*:throttle=1;7s")
    guard = Guard("new", retry=None, fleet=world.fleet)
    for _ in range(3):
        with pytest.raises(InjectedThrottle) as caught:
            guard.call(world.ask)
        assert 7.0 == caught.value.retry_after_seconds


def test_a_retry_is_another_call_and_the_breaker_sees_both():
    """One that is struck is tried again like any other blip."""
    draws = iter([0, 0, 0.1, 0, 0, 0.9])
    retry = CallRetry(max_attempts=2, is_idempotent=True)
    world = World(retry=retry)
    world.strike("search:fault=0.5", chance=lambda: next(draws))
    assert 1 == world.guarded()
    assert 2 == len(world.guard.breaker.era.outcomes)


def test_a_nested_guard_of_the_same_upstream_is_not_struck_twice(world):
    """It joins the call around it."""
    draws = iter([0, 0, 0.9])
    world.strike("search:fault=0.5", chance=lambda: next(draws))
    assert 1 == world.guard.call(world.guarded)


def test_a_hanging_coroutine_is_cut_off_by_its_timeout():
    """That is what the timeout is for."""
    world = World(timeout_seconds=0.05)
    world.strike("search:hang=1")
    with pytest.raises(AttemptTimeout):
        asyncio.run(world.aguarded())
    assert 0 == world.calls


def test_a_hanging_plain_function_ends_with_the_time_of_its_attempt(world):
    """Nothing could cut it off, so it looks at its deadline by itself."""
    world.strike("search:hang=1;3600s")
    with errand(Errand(deadline=CLOCK.monotonic() + 0.05)), pytest.raises(InjectedFault):
        world.guarded()


def test_a_hanging_plain_function_ends_at_its_bound(world):
    """Where nobody set a time for it."""
    world.strike("search:hang=1;20ms")
    with pytest.raises(InjectedFault):
        world.guarded()


def test_a_late_call_is_made(world):
    """Latency alone harms nothing else."""
    began = CLOCK.monotonic()
    world.strike("search:latency=20ms")
    assert (1, 2) == (world.guarded(), asyncio.run(world.aguarded()))
    assert CLOCK.monotonic() - began >= 0.04


def test_it_is_loud(world):
    """Whoever reads the log at the start of a process sees what it will do."""
    world.strike("search:fault=0.5 *:latency=1s")
    assert [ChaosIsOn("search:fault=0.5 *:latency=1..1s;1")] == world.told
    assert "warning" == ChaosIsOn.level
