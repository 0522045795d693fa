"""The guard of an upstream: three ways to use it, each with the same meaning."""

import asyncio
import contextlib
import functools
import gc
import itertools
import threading
import weakref

import pytest

from holdfast.jobs.errors import AttemptTimeout, BreakerOpen, BulkheadFull, DeadlinePassed, RateLimited
from holdfast.jobs.events import Events
from holdfast.jobs.upstream_events import CallRefused
from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.errand import Errand, errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.call_retry import CallRetry
from holdfast.resilience.guard.frame import time_left
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.guard.hedge import Hedge

FAST = CallRetry(base_seconds=0.0, cap_seconds=0.0, is_idempotent=True)


@pytest.fixture
def seen() -> list:
    """The events of the fleet."""
    return []


@pytest.fixture
def fleet(seen, monkeypatch):
    """A process on its own, that opens after five failures, and reports when it is told to."""
    made = Fleet(events=Events(seen.append))
    monkeypatch.setattr(made.reporter, "start", lambda: None)
    return made


@pytest.fixture
def running():
    """The same, which reports by itself."""
    made = Fleet()
    yield made
    made.stop()


def a_guard(fleet: Fleet, name: str = "search", **options) -> Guard:
    """A guard that makes each call once, if nothing else is asked for."""
    return Guard(name, **{"retry": None, "fleet": fleet, **options})


def on_a_loop(test):
    """Run a test on an event loop of its own."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        asyncio.run(test(**fixtures))

    return run


class Upstream:
    """Answers as it is told, and counts."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self, *_: object) -> object:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else "fine"
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def acall(self, *_: object) -> object:
        """The same for coroutines."""
        return self()


def ended(guard: Guard) -> list[bool]:
    """How the calls ended that are not reported yet: True for each that went well."""
    return [began > 0 for began in guard.breaker.era.outcomes]


def opened(guard: Guard) -> Guard:
    """Let an upstream fail until its breaker is open."""
    for _ in range(guard.policy.streak):
        with pytest.raises(ConnectionError):
            guard.call(Upstream(ConnectionError()))
    guard.fleet.reporter.report_all()
    assert guard.breaker.view.phase is Phase.OPEN
    return guard


@on_a_loop
async def test_three_ways_to_use_it(fleet):
    """Decorator, block and explicit call, for plain functions and coroutines, pass everything on."""
    guard = a_guard(fleet)

    @guard
    def add(one: int, two: int = 1) -> int:
        """Add."""
        return one + two

    @guard
    async def aadd(one: int, two: int = 1) -> int:
        return one + two

    assert (3, 5) == (add(2), await aadd(2, two=3))
    assert ("add", "Add.") == (add.__name__, add.__doc__)
    assert (9, 9) == (guard.call(max, 3, 9), await guard.acall(aadd, 8))
    with guard.slot() as slot:
        slot.success()
    async with guard.slot():
        pass
    assert [True] * 6 == ended(guard)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), asyncio.CancelledError()])
@on_a_loop
async def test_the_very_exception_passes_through(fleet, error):
    """Not a copy, not wrapped, and without a circle that keeps its frames alive."""
    guard = a_guard(fleet, retry=CallRetry())
    with pytest.raises(type(error)) as caught:
        guard.call(Upstream(error))
    assert error is caught.value
    with pytest.raises(type(error)) as acaught:
        await guard.acall(Upstream(error).acall)
    assert error is acaught.value


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), asyncio.CancelledError(), BreakerOpen()]
)
def test_what_was_stopped_counts_nowhere(fleet, error):
    """Neither as a failure nor as a success: nobody knows what the upstream would have answered."""
    guard = a_guard(fleet)
    with pytest.raises(type(error)):
        guard.call(Upstream(error))
    assert [] == ended(guard)


def test_a_failure_leaves_no_circle(fleet):
    """An error and the frames that it holds are gone when the caller is done with it."""
    guard = a_guard(fleet, retry=FAST)
    errors: list[weakref.ref] = []

    class Broken(ConnectionError):
        """Can be watched."""

    def broken() -> None:
        error = Broken()
        errors.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    gc.disable()
    try:
        with contextlib.suppress(Broken):
            guard.call(broken)
        assert [None] * 3 == [error() for error in errors]
    finally:
        gc.enable()


@on_a_loop
async def test_a_blip_is_tried_again(fleet):
    """Two failures and an answer: the caller sees the answer; each attempt counts."""
    guard = a_guard(fleet, retry=FAST)
    upstream = Upstream(ConnectionError(), TimeoutError(), "third")
    assert "third" == guard.call(upstream)
    assert "third" == await guard.acall(Upstream(ConnectionError(), TimeoutError(), "third").acall)
    assert 3 == upstream.calls


@pytest.mark.parametrize(
    ("error", "calls"),
    [(ConnectionResetError(), 1), (ConnectionRefusedError(), 3), (ValueError(), 1), (Exception(), 1)],
)
def test_what_may_have_been_done_is_not_done_again(fleet, error, calls):
    """Without `is_idempotent` only what never reached the upstream is tried again."""
    upstream = Upstream(*[error] * 9)
    with pytest.raises(type(error)):
        a_guard(fleet, retry=CallRetry(base_seconds=0.0, cap_seconds=0.0)).call(upstream)
    assert calls == upstream.calls


def test_layers_of_retries_do_not_multiply(fleet):
    """A guard within a guard leaves trying again to the outer one."""
    upstream = Upstream(*[ConnectionError()] * 99)
    outer, inner = a_guard(fleet, "outer", retry=FAST), a_guard(fleet, "inner", retry=FAST)
    with pytest.raises(ConnectionError):
        outer.call(inner.call, upstream)
    assert 3 == upstream.calls
    alone = Upstream(*[ConnectionError()] * 99)
    with pytest.raises(ConnectionError):
        a_guard(fleet, "without").call(inner.call, alone)
    assert 3 == alone.calls, "the outer one does not try again, so the inner one does"


@on_a_loop
async def test_retries_have_a_budget(fleet):
    """Of a hundred calls that fail at one time few are tried again: what was saved up, a tenth, and three."""
    patient = BreakerPolicy(streak=10_000, least_calls=10_000, rare_calls=10_000)
    guard = a_guard(fleet, retry=FAST, breaker=patient)
    calls = itertools.count()

    async def broken() -> None:
        next(calls)
        await asyncio.sleep(0)
        raise ConnectionError

    await asyncio.gather(*(guard.acall(broken) for _ in range(100)), return_exceptions=True)
    assert 100 + 10 <= next(calls) <= 100 + 10 + 10 + 3 + 3
    assert guard.budget.refused > 0


@on_a_loop
async def test_one_that_is_open_refuses_and_says_who(fleet, seen):
    """Nothing is called; the refusal names the upstream, when to come again, and is told once."""
    guard = opened(a_guard(fleet))
    upstream = Upstream()
    with pytest.raises(BreakerOpen, match="search is open") as refused:
        guard.call(upstream)
    with pytest.raises(BreakerOpen):
        await guard.acall(upstream.acall)
    with pytest.raises(BreakerOpen), guard.slot():
        upstream()
    assert ("search", "search", 0) == (refused.value.upstream, refused.value.refused_by, upstream.calls)
    assert 0 < refused.value.retry_after_seconds <= 5.0
    assert 3 == sum(isinstance(event, CallRefused) for event in seen)


def test_a_refusal_of_an_inner_guard_counts_nowhere(fleet):
    """The outer upstream was not called because another one is sick: that says nothing about it."""
    inner, outer = opened(a_guard(fleet)), a_guard(fleet, "outer", retry=FAST)
    for _ in range(30):
        with pytest.raises(BreakerOpen):
            outer.call(inner.call, Upstream())
    assert [] == ended(outer)
    assert 0 == outer.budget.refused


@on_a_loop
async def test_a_guard_within_itself_joins_the_call(fleet):
    """Recursion through the same guard is one call, and cannot lock itself out."""
    guard = a_guard(fleet)

    @guard
    async def down(depth: int) -> int:
        async with guard.slot():
            return await down(depth - 1) if depth else 0

    assert 0 == await down(5)
    assert 1 == len(ended(guard))


@on_a_loop
async def test_an_attempt_has_its_time(fleet):
    """A coroutine is cut off, which counts as a failure; a TimeoutError of its own passes unchanged."""
    guard = a_guard(fleet, timeout_seconds=0.05)
    with pytest.raises(AttemptTimeout, match="search had"):
        await guard.acall(asyncio.Event().wait)
    assert [False] == ended(guard)
    own = TimeoutError("own")
    with pytest.raises(TimeoutError) as caught:
        await guard.acall(Upstream(own).acall)
    assert own is caught.value
    assert 0 < guard.call(time_left) <= 0.05
    assert time_left() is None


@on_a_loop
async def test_no_call_begins_after_the_deadline(fleet):
    """Nor does a retry whose answer would come too late."""
    guard = a_guard(fleet, retry=CallRetry(base_seconds=5.0, is_idempotent=True))
    now = fleet.clock.monotonic()
    upstream = Upstream(ConnectionError())
    with errand(Errand(deadline=now - 1)), pytest.raises(DeadlinePassed):
        guard.call(upstream)
    assert 0 == upstream.calls
    with errand(Errand(deadline=now + 0.01)), pytest.raises(ConnectionError):
        await guard.acall(upstream.acall)
    assert 1 == upstream.calls


@on_a_loop
async def test_of_two_hedged_calls_the_first_answer_counts(fleet):
    """The late one is cancelled, counts nowhere, and its permit is back before the answer is."""
    guard = a_guard(fleet, hedge=Hedge(0.01))
    over: list[str] = []

    async def answer() -> str:
        me = str(len(over)) if not guard.breaker.era.flights.keys() - {0} else "second"
        try:
            if me != "second":
                await asyncio.Event().wait()
        finally:
            over.append(me)
        return me

    assert "second" == await guard.acall(answer)
    assert ["second", "0"] == over
    assert ([True], {}) == (ended(guard), guard.breaker.era.flights)


@on_a_loop
async def test_a_stream_ends_well_at_its_end(fleet):
    """Not at its first item; and one that its reader leaves says nothing."""
    guard = a_guard(fleet)

    @guard
    async def words(error: BaseException | None = None):
        yield "a"
        yield "b"
        if error:
            raise error

    stream = words()
    assert "a" == await anext(stream)
    assert ([], {}) == (ended(guard), guard.breaker.era.flights), "it has begun to answer"
    assert ["b"] == [word async for word in stream]
    assert [True] == ended(guard)
    left = words()
    await anext(left)
    await left.aclose()
    assert [True] == ended(guard)
    with pytest.raises(ConnectionError):
        [word async for word in words(ConnectionError())]
    assert [True, False] == ended(guard)


def test_a_generator_ends_well_at_its_end(fleet):
    """The same for plain generators; their result passes through."""
    guard = a_guard(fleet)

    @guard
    def count(most: int):
        yield from range(most)
        return "end"

    def outer():
        return (yield from count(2))

    items = outer()
    assert [0, 1] == [next(items), next(items)]
    with pytest.raises(StopIteration) as stop:
        next(items)
    assert ("end", [True]) == (stop.value.value, ended(guard))


def test_each_key_has_a_breaker(fleet):
    """What fails for one tenant does not shut out another; the names stay short and printable."""
    guard = a_guard(fleet)

    @guard.keyed(lambda tenant: tenant)
    def ask(tenant: str) -> str:
        if tenant == "bad":
            raise ConnectionError
        return tenant

    for _ in range(5):
        with pytest.raises(ConnectionError):
            ask("bad")
    fleet.reporter.report_all()
    with pytest.raises(BreakerOpen, match=r"search\[bad\]"):
        ask("bad")
    assert "good" == ask("good")
    assert len(guard.for_key("x" * 1000).name) <= 128
    assert guard.for_key("a\nb").name.isprintable()


class Turnpike:
    """A limit that refuses a number of times."""

    def __init__(self, *refusals: BaseException) -> None:
        self.refusals = list(refusals)
        self.inside = 0

    def enter(self, call: object) -> "Turnpike":
        """Refuse, or let in."""
        if self.refusals:
            raise self.refusals.pop(0)
        self.inside += 1
        return self

    async def aenter(self, call: object) -> "Turnpike":
        return self.enter(call)

    def leave(self, result: object, error: object) -> None:
        """Let out."""
        self.inside -= 1


@on_a_loop
async def test_limits_are_left_however_the_call_ends(fleet):
    """Those that were entered before another one refused, too."""
    first, second = Turnpike(), Turnpike(BulkheadFull())
    guard = a_guard(fleet, limits=[first, second])
    with pytest.raises(BulkheadFull):
        guard.call(Upstream())
    assert [] == ended(guard)
    assert {} == guard.breaker.era.flights
    for answer in ("fine", ConnectionError(), asyncio.CancelledError()):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await guard.acall(Upstream(answer).acall)
    assert (0, 0) == (first.inside, second.inside)


@on_a_loop
async def test_who_has_patience_waits_for_its_turn(fleet):
    """A refusal is not an attempt: nothing is spent but time."""
    limit = Turnpike(RateLimited(retry_after_seconds=0.01), RateLimited(retry_after_seconds=0.01))
    assert "fine" == await a_guard(fleet, limits=[limit], patience_seconds=1.0).acall(Upstream().acall)
    impatient = a_guard(fleet, limits=[Turnpike(RateLimited(retry_after_seconds=9.0))], patience_seconds=1.0)
    with pytest.raises(RateLimited):
        impatient.call(Upstream())


@on_a_loop
async def test_a_job_that_can_be_parked_is_refused_at_once(running):
    """Its slot is worth more than its place. One that has called before waits."""
    guard = opened(a_guard(running, patience_seconds=60.0, breaker=BreakerPolicy(open_seconds=0.2)))
    on = Errand(is_parkable=True)
    with errand(on), pytest.raises(BreakerOpen):
        guard.call(Upstream())
    on.called.add("search")
    with errand(on):
        assert "fine" == await guard.acall(Upstream().acall)


def test_a_job_whose_first_call_is_limited_has_not_called(fleet):
    """It is refused at once if its turn is more than a second away, as nothing would be lost."""
    guard = a_guard(fleet, limits=[Turnpike(RateLimited(retry_after_seconds=1.1))])
    on = Errand(is_parkable=True)
    with errand(on), pytest.raises(RateLimited):
        guard.call(Upstream())
    assert set() == on.called


def test_a_job_waits_where_it_is_for_what_is_over_soon(fleet):
    """The way through the ledger and back would take longer, and its turn would be somebody else's."""
    guard = a_guard(fleet, limits=[Turnpike(RateLimited(retry_after_seconds=0.1))])
    with errand(Errand(is_parkable=True)):
        assert "fine" == guard.call(Upstream())


def test_a_ticket_is_one_call(fleet):
    """A job that was released by the ramp passes where others are refused, once."""
    guard = opened(a_guard(fleet))
    epoch = guard.breaker.view.epoch
    on = Errand(is_parkable=True, tickets={"search": Ticket("search", epoch + 1)})
    with errand(on):
        assert "fine" == guard.call(Upstream())
        assert {} == on.tickets
    assert Phase.RAMP is guard.breaker.view.phase, "the ticket says that it turned"
    old = Errand(is_parkable=True, tickets={"search": Ticket("search", epoch)})
    with errand(old), pytest.raises(BreakerOpen):
        guard.call(Upstream())


def test_threads_do_not_wait_for_each_other(fleet):
    """Eight calls at one time are under way at one time."""
    guard, barrier = a_guard(fleet), threading.Barrier(8)
    threads = [threading.Thread(target=guard.call, args=(barrier.wait, 10)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [True] * 8 == ended(guard)


def test_one_upstream_has_one_policy(fleet):
    """A second one would be ignored without a word."""
    a_guard(fleet, breaker=BreakerPolicy(streak=3))
    a_guard(fleet)
    with pytest.raises(ValueError, match="another BreakerPolicy"):
        a_guard(fleet, breaker=BreakerPolicy(streak=4))
    with pytest.raises(ValueError, match="1 to 128 printable"):
        a_guard(fleet, "")
