"""A breaker in a process and its reporter: what passes, what counts, what the store's loss costs."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.jobs.errors import BreakerOpen, RateLimited
from holdfast.resilience.breaker.breaker import Breaker
from holdfast.resilience.breaker.circuit import Override, Phase
from holdfast.resilience.breaker.message import Message, Order
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.reporter import GAP_SECONDS, LOST_SECONDS, UNUSED_PROBE_SECONDS, Reporter
from holdfast.resilience.breaker.store import MemoryStore, StoreLost
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.breaker.verdict import FAILURE, NO_VERDICT, Ending, Verdict
from holdfast.tests.support.bench import FakeClock

POLICY = BreakerPolicy(streak=5, slow_after_seconds=10.0)


class Broken(Exception):
    """What a sick upstream raises."""


class Line:
    """The way to the shared store, which may be cut."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.is_cut = False
        self.tries = 0

    def exchange(self, name, message, terms):
        """Pass it on, or fail."""
        self.tries += 1
        if self.is_cut:
            raise StoreLost("cut")
        return self._store.exchange(name, message, terms)


class Process:
    """One process of a fleet, without its thread: it reports when it is told to."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self.clock, self.line = clock, Line(store)
        self.hurries = 0
        self.turns = []
        self.reporter = Reporter(
            self.line, clock=clock, on_turn=lambda _, reply: self.turns.append(reply.phase)
        )
        self.breaker = Breaker("up", POLICY, judge=self.judge, wake=self._hurry, now=clock.monotonic)
        self.reporter.watch(self.breaker)
        self.verdict = FAILURE

    def judge(self, error: BaseException) -> Verdict:
        """What an exception means just now; a cancellation means nothing."""
        return NO_VERDICT if isinstance(error, asyncio.CancelledError) else self.verdict

    def _hurry(self) -> None:
        self.hurries += 1

    def report(self, after: float = 1.0) -> "Process":
        """Let time pass, and report."""
        self.clock.advance(after)
        self.reporter.report_all()
        return self

    def sync(self) -> "Process":
        """Hear what is true: here nobody tells it."""
        if self.breaker.era.passes:
            self.breaker.call(int)
        return self.report(3.0)

    def fail(self, times: int = 1) -> "Process":
        """Make calls that fail."""

        def broken() -> None:
            raise Broken

        for _ in range(times):
            with pytest.raises(Broken):
                self.breaker.call(broken)
        return self

    def is_refused(self) -> bool:
        """Try one call."""
        try:
            self.breaker.call(int)
        except (BreakerOpen, RateLimited):
            return True
        return False


class Fleet:
    """Two processes on one store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.one, self.two = Process(self.store, self.clock), Process(self.store, self.clock)

    def open(self) -> None:
        """Let both see failures until it opens."""
        self.one.fail(3).report()
        self.two.fail(3).report()
        self.one.sync()

    def order(self, order: Order) -> None:
        """Do as an operator."""
        message = Message("operator", 0, order=order, order_reason="incident")
        self.store.exchange("up", message, Terms.of(POLICY))


@pytest.fixture
def fleet() -> Fleet:
    """A fleet whose upstream is well."""
    return Fleet()


def test_a_closed_breaker_passes_everything_on(fleet):
    """Arguments, results and the very exception; nobody is hurried by a success."""
    breaker = fleet.one.breaker
    assert 7 == breaker.call(max, 3, 7)
    error = Broken()

    def broken() -> None:
        raise error

    assert 0 == fleet.one.hurries
    with pytest.raises(Broken) as raised:
        breaker.call(broken)
    assert error is raised.value
    assert 1 == fleet.one.hurries


def test_the_fleet_opens_for_all(fleet):
    """Neither process saw enough by itself; both refuse, and say for how long and why."""
    fleet.open()
    for process in (fleet.one, fleet.two):
        with pytest.raises(BreakerOpen, match="up is open: streak") as refused:
            process.breaker.call(int)
        assert 0 < refused.value.retry_after_seconds <= 5.0
    assert Phase.OPEN in fleet.one.turns
    assert Phase.OPEN in fleet.two.turns


def test_a_process_that_fails_alone_shuts_its_own_gate(fleet):
    """The other one's calls go on; after a while it tries again, and one failure is enough to shut it."""
    fleet.two.breaker.call(int)
    fleet.two.report()
    for _ in range(5):
        fleet.one.fail(1).report(0.1)
    assert fleet.one.is_refused()
    assert not fleet.two.is_refused()
    fleet.one.report(5.0).report(3.0)
    assert fleet.one.breaker.era.passes
    fleet.one.fail(1).report(0.1)
    assert fleet.one.is_refused()


def test_one_call_probes(fleet):
    """Whoever comes first after the time has it; the others are refused until its end is told."""
    fleet.open()
    fleet.clock.advance(30)
    assert fleet.one.is_refused()
    fleet.one.report(0.1)
    assert fleet.two.is_refused()
    fleet.two.report(0.1)
    assert fleet.two.is_refused()
    assert not fleet.one.is_refused(), "it has the probe"
    assert fleet.one.is_refused(), "and there is no second one"
    fleet.one.report(0.1)
    assert fleet.one.is_refused()
    fleet.one.report(0.1)
    assert not fleet.one.is_refused()
    fleet.one.report(0.1)
    assert Phase.RAMP is fleet.one.breaker.view.phase


def test_a_probe_that_nobody_came_for_goes_back(fleet):
    """Another process may have it long before its lease is over."""
    fleet.open()
    fleet.clock.advance(30)
    assert fleet.one.is_refused()
    fleet.one.report(0.1)
    fleet.one.report(UNUSED_PROBE_SECONDS + 0.1)
    fleet.two.report(3)
    assert fleet.two.is_refused()
    fleet.two.report(0.1)
    assert not fleet.two.is_refused()


def test_a_ramp_gives_permits(fleet):
    """One call a second at first: whoever was refused comes again, and the permit is there."""
    test_one_call_probes(fleet)
    passed = 0
    for _ in range(10):
        passed += not fleet.one.is_refused()
        fleet.one.report(0.5)
    assert 3 <= passed <= 8


def test_what_the_upstream_asks_for_holds_for_all(fleet):
    """One process was told to wait for seven seconds: no other one calls before, and then all do."""
    fleet.one.verdict = Verdict(Ending.PUSHED, retry_after_seconds=7.0)
    fleet.one.fail().report(0.1)
    fleet.two.breaker.call(int)
    fleet.two.report(0.1)
    with pytest.raises(RateLimited) as refused:
        fleet.two.breaker.call(int)
    assert 6.0 < refused.value.retry_after_seconds <= 7.0
    fleet.clock.advance(7.0)
    assert not fleet.two.is_refused()


@pytest.mark.parametrize("word", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_what_is_neutral_counts_nowhere(fleet, word):
    """The very exception goes through, and neither a success nor a failure is counted."""
    fleet.one.verdict = NO_VERDICT

    def interrupted() -> None:
        raise word

    for _ in range(20):
        with pytest.raises(word):
            fleet.one.breaker.call(interrupted)
    assert [] == fleet.one.breaker.era.outcomes
    assert {} == fleet.one.breaker.era.flights


def test_calls_in_flight_become_slow(fleet):
    """Ten calls hang: it opens while they hang."""
    permits = [fleet.one.breaker.admit() for _ in range(10)]
    fleet.one.report(9.0)
    assert not fleet.one.is_refused()
    fleet.one.report(2.0)
    assert fleet.one.is_refused()
    assert "slow" == fleet.one.breaker.view.reason
    for permit in permits:
        permit.end(FAILURE)
    assert [] == fleet.one.breaker.era.outcomes, "they began before it opened"


def test_a_coroutine_is_guarded_like_a_function(fleet):
    """Result, exception, cancellation."""

    async def main() -> None:
        async def good() -> int:
            return 7

        async def bad() -> None:
            raise Broken

        assert 7 == await fleet.one.breaker.acall(good)
        with pytest.raises(Broken):
            await fleet.one.breaker.acall(bad)
        hangs = asyncio.ensure_future(fleet.one.breaker.acall(asyncio.sleep, 60))
        await asyncio.sleep(0)
        hangs.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hangs

    asyncio.run(main())
    assert [True, False] == [began > 0 for began in fleet.one.breaker.era.outcomes]
    assert {} == fleet.one.breaker.era.flights


def test_a_turn_is_heard_before_the_next_report(fleet):
    """The store tells it at once; what is older than what is known is no news."""
    fleet.open()
    heard = fleet.store.exchange("up", Message("listener", 0), Terms.of(POLICY))
    late = Process(fleet.store, fleet.clock)
    late.reporter.hear("up", heard)
    assert late.is_refused()
    late.reporter.hear("up", replace(heard, phase=Phase.CLOSED))
    assert late.is_refused()
    late.reporter.hear("another", heard)


# The store is lost.


def test_without_the_store_a_process_judges_for_itself(fleet):
    """Sooner than the fleet would; and a store that is gone is asked once a second, not at each report."""
    fleet.one.line.is_cut = True
    for _ in range(5):
        fleet.one.fail().report(GAP_SECONDS)
    assert fleet.one.is_refused()
    assert fleet.one.line.tries <= 2
    assert fleet.one.reporter.is_store_lost


def test_what_was_open_stays_open_without_the_store(fleet):
    """For its time, and then this process probes by itself."""
    fleet.open()
    fleet.one.line.is_cut = True
    fleet.one.report(0.1)
    assert fleet.one.is_refused()
    fleet.one.report(30.0)
    fleet.clock.advance(0.01)
    assert fleet.one.is_refused()
    fleet.one.report(0.1)
    assert not fleet.one.is_refused()


@pytest.mark.parametrize(("order_for", "is_refused_later"), [(0, True), (20_000, False)])
def test_an_order_holds_without_the_store(fleet, order_for, is_refused_later):
    """What an operator isolated stays so though the store is lost, for as long as was ordered."""
    message = Message("operator", 0, order=Order.ISOLATE, order_for=order_for, order_reason="incident")
    fleet.store.exchange("up", message, Terms.of(POLICY))
    fleet.one.sync()
    fleet.one.line.is_cut = True
    for _ in range(3):
        fleet.one.report(5.0)
        with pytest.raises(BreakerOpen, match="isolated: incident"):
            fleet.one.breaker.call(int)
    fleet.one.report(5.0).report(1.0)
    assert is_refused_later is fleet.one.is_refused()
    fleet.one.line.is_cut = False
    fleet.order(Order.RELEASE)
    fleet.one.report(5.0)
    assert not fleet.one.is_refused()


def test_the_stricter_memory_counts_when_the_store_is_back(fleet):
    """Open here and forgotten there: it is open there."""
    fleet.one.line.is_cut = True
    for _ in range(5):
        fleet.one.fail().report(GAP_SECONDS)
    fleet.one.line.is_cut = False
    fleet.one.report(LOST_SECONDS).report(2.0)
    assert not fleet.one.reporter.is_store_lost
    fleet.two.breaker.call(int)
    fleet.two.report(0.1)
    assert fleet.two.is_refused()


# Operators.


def test_an_operator_reaches_every_process(fleet):
    """Isolated: nothing passes; in shadow: all passes, and what would not is counted; released: as before."""
    fleet.order(Order.ISOLATE)
    fleet.one.breaker.call(int)
    fleet.one.report(0.1)
    with pytest.raises(BreakerOpen, match="isolated: incident"):
        fleet.one.breaker.call(int)
    fleet.order(Order.RELEASE)
    fleet.one.sync()
    assert not fleet.one.is_refused()
    fleet.open()
    fleet.order(Order.SHADOW)
    fleet.one.report(3.0)
    assert Override.SHADOW is fleet.one.breaker.view.override
    assert not fleet.one.is_refused()
    assert 1 == fleet.one.breaker.would_refuse


def test_many_threads_lose_no_count(fleet):
    """Eight threads call at once: every outcome is told exactly once."""
    told = []
    exchange = fleet.one.line.exchange
    fleet.one.line.exchange = lambda name, message, terms: (
        told.append(message.ok) or exchange(name, message, terms)
    )
    stop = threading.Event()

    def call(times: int) -> None:
        for _ in range(times):
            fleet.one.breaker.call(int)

    def report(again: Callable[[], bool]) -> None:
        while again():
            fleet.one.report(GAP_SECONDS)

    reporting = threading.Thread(target=report, args=(lambda: not stop.is_set(),))
    reporting.start()
    threads = [threading.Thread(target=call, args=(5_000,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reporting.join()
    # More than a gap: what was added up from many is a little less.
    fleet.one.report(1.0)
    assert 40_000 == sum(told)
