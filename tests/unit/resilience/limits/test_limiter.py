"""The rate limits of an upstream as callers use them, here without a store of others."""

import asyncio
import contextlib
import os
import threading

import pytest

from holdfast.jobs.errors import BulkheadFull, RateLimited
from holdfast.jobs.events import Events, ServiceFailed
from holdfast.resilience.errand import Errand, errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits.fleet_bulkhead import FleetBulkhead
from holdfast.resilience.limits.hands import MOST_WAITING, Hands
from holdfast.resilience.limits.limiter import Limiter
from holdfast.resilience.limits.link import Link
from holdfast.resilience.limits.policy import RateLimit
from holdfast.resilience.limits.rate_layer import RateLayer
from holdfast.resilience.sharing import share
from holdfast.testing.clock import FakeClock

NOBODY_LISTENS = "redis://127.0.0.1:1/0"
REQUESTS = RateLimit("requests", 60, 60, burst=3)
TOKENS = RateLimit("tokens", 6_000, 60, burst=1_000)


@pytest.fixture
def clock() -> FakeClock:
    """Time stands still."""
    return FakeClock()


@pytest.fixture
def seen() -> list:
    """The events."""
    return []


@pytest.fixture
def fleet(clock, seen, monkeypatch) -> Fleet:
    """A process on its own."""
    made = Fleet(clock=clock, events=Events(seen.append))
    monkeypatch.setattr(made.reporter, "start", lambda: None)
    return made


@pytest.fixture
def limiter(fleet) -> Limiter:
    """Of requests and tokens."""
    return Limiter("model", [REQUESTS, TOKENS], fleet=fleet)


def wait_of(limiter: Limiter, weights=None, keys=None) -> float:
    """Try a call, and return what it is told; 0.0: it may be made."""
    try:
        limiter.acquire(weights or {}, keys or {})
    except RateLimited as refusal:
        return -1.0 if refusal.upstream else refusal.retry_after_seconds or -1.0
    return 0.0


def test_a_refusal_says_when_to_come_back(limiter, clock):
    """In seconds, and without an upstream: the time is all there is to wait for."""
    assert [0.0, 0.0, 0.0] == [wait_of(limiter) for _ in range(3)]
    wait = wait_of(limiter)
    assert 1.0 == pytest.approx(wait, abs=0.001)
    clock.advance(wait)
    assert 0.0 == wait_of(limiter)


@pytest.mark.parametrize(("workers", "passing"), [(0, 12), (1, 12), (3, 4)])
def test_while_the_store_is_lost_a_process_keeps_to_its_share_of_the_fleet(fleet, workers, passing):
    """As the worker around it counts; one that nobody counts has all, and so has one without a store."""
    limits = [RateLimit("requests", 12, 3_600, burst=12)]
    fleet.processes = lambda: workers
    alone = Limiter("alone", limits, fleet=fleet)
    assert 12 == sum(wait_of(alone) == 0.0 for _ in range(20))
    share(NOBODY_LISTENS, namespace="test", fleet=fleet)
    one, told = Limiter("one", limits, fleet=fleet), Limiter("told", limits, processes=lambda: 6, fleet=fleet)
    assert passing == sum(wait_of(one) == 0.0 for _ in range(20))
    assert 2 == sum(wait_of(told) == 0.0 for _ in range(20))
    bulkhead = FleetBulkhead("one", 12, fleet=fleet)
    for _ in range(20):
        with contextlib.suppress(BulkheadFull):
            bulkhead.acquire()
    assert passing == bulkhead.in_use


def test_what_was_estimated_too_high_is_given_back(limiter):
    """A second settling changes nothing."""
    reservation = limiter.acquire({"tokens": 1_000})
    assert wait_of(limiter, {"tokens": 500}) > 0
    reservation.settle({"tokens": 500})
    reservation.settle({"tokens": 0})
    assert 0.0 == wait_of(limiter, {"tokens": 500})
    assert wait_of(limiter, {"tokens": 1}) > 0


def test_what_was_estimated_too_low_is_charged(limiter):
    """The next call waits for it."""
    limiter.acquire({"tokens": 1_000}).settle({"tokens": 1_600})
    assert 6.0 == pytest.approx(wait_of(limiter, {"tokens": 1}), abs=0.1)


def test_a_call_that_was_not_made_costs_nothing(limiter):
    """All of it is given back."""
    for _ in range(10):
        limiter.acquire({"tokens": 1_000}).cancel()
    assert 0.0 == wait_of(limiter, {"tokens": 1_000})


def test_each_tenant_has_its_own(fleet):
    """However long its name is; and calls without one share one."""
    limiter = Limiter("model", [RateLimit("requests", 60, 60, 1, by="tenant")], fleet=fleet)
    for tenant in ("a", "b", "x" * 1_000, "x" * 1_000 + "y", ""):
        assert 0.0 == wait_of(limiter, keys={"tenant": tenant})
        assert wait_of(limiter, keys={"tenant": tenant}) > 0


def test_a_minute_and_a_day_may_count_the_same(fleet):
    """Both are charged; two of one kind are refused."""
    day = RateLimit("requests", 2, 86_400, 2)
    limiter = Limiter("model", [REQUESTS, day], fleet=fleet)
    assert [True, True, False] == [wait_of(limiter) == 0.0 for _ in range(3)]
    with pytest.raises(ValueError, match="count the same"):
        Limiter("model", [REQUESTS, RateLimit("requests", 5)], fleet=fleet)
    with pytest.raises(ValueError, match="name"):
        Limiter("", [REQUESTS], fleet=fleet)
    with pytest.raises(ValueError, match="less than nothing"):
        limiter.acquire({"requests": -1})


def test_the_provider_knows_better(limiter, clock):
    """Nothing is left: the next call waits as long as it says one unit takes."""
    limiter.learn(
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-reset-requests": "1m",
        }
    )
    assert 6.0 == pytest.approx(wait_of(limiter), abs=0.01)
    clock.advance(6.01)
    limiter.learn({"x-ratelimit-remaining-requests": "1"})
    assert 0.0 == wait_of(limiter)
    assert wait_of(limiter) > 0


@pytest.mark.parametrize(
    ("headers", "passing"),
    [
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-limit-requests": "60"}, 1),
        ({"x-ratelimit-remaining-requests": "1"}, 1),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-limit-requests": "50"}, 1),
        ({"x-ratelimit-remaining-requests": "4", "x-ratelimit-limit-requests": "1000"}, 4),
    ],
)
def test_what_is_left_of_a_minute_is_not_what_is_left_of_a_day(fleet, clock, headers, passing):
    """A provider speaks of one budget: the one of its count, or the shortest."""
    minute = RateLimit("requests", 60, 60, burst=10)
    limiter = Limiter("model", [RateLimit("requests", 1_000, 86_400, burst=100), minute], fleet=fleet)
    limiter.learn(headers)
    assert passing == sum(wait_of(limiter) == 0.0 for _ in range(20))
    clock.advance(60.0)
    # The minute is full again; of the day no more has come back than it does in a minute.
    assert (10 if passing == 1 else 0) == sum(wait_of(limiter) == 0.0 for _ in range(20))


def test_what_is_left_of_tokens_is_not_said_of_requests(limiter):
    """Nor is that of anything that no limit counts."""
    limiter.learn({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m"})
    limiter.learn({"x-ratelimit-remaining-images": "0", "x-ratelimit-reset-images": "1m"})
    assert wait_of(limiter, {"tokens": 1}) > 0
    assert [0.0] * 3 == [wait_of(limiter) for _ in range(3)]


def test_more_than_we_think_changes_nothing(limiter):
    """Calls of ours may be on their way."""
    for _ in range(3):
        limiter.acquire()
    limiter.learn({"x-ratelimit-remaining-requests": "1000", "x-ratelimit-reset-requests": "1s"})
    assert wait_of(limiter) > 0


def test_an_upstream_that_wants_no_calls_gets_none(limiter, clock):
    """By its header, or by our word; each who waits has a turn of its own; never longer than ten minutes."""
    limiter.learn({"retry-after": "7"})
    assert 7.0 == pytest.approx(wait_of(limiter), abs=0.001)
    assert 8.0 == pytest.approx(wait_of(limiter), abs=0.001)
    clock.advance(7.0)
    assert 0.0 == wait_of(limiter)
    limiter.not_before(1e12)
    limiter.not_before(-1.0)
    assert 600.0 == pytest.approx(wait_of(limiter, {"tokens": 1}), abs=5.0)


def test_it_works_in_a_guard(fleet, clock, limiter):
    """Charged before, settled and told after; refused calls are not made."""
    calls = []
    layer = RateLayer(
        limiter,
        weigh=lambda call: {"tokens": len(call.arguments[0])},
        settle=lambda result: {"tokens": result["used"]},
        learn=lambda result: result["headers"] if isinstance(result, dict) else None,
    )
    guard = Guard("model", limits=[layer], retry=None, fleet=fleet)

    def ask(text: str) -> dict:
        calls.append(text)
        return {"used": 100, "headers": {"x-ratelimit-remaining-requests": "1"}}

    guard.call(ask, "x" * 1_000)
    asyncio.run(_acall(guard, ask, "y" * 900))
    with pytest.raises(RateLimited) as refused:
        guard.call(ask, "z")
    assert "model" == refused.value.refused_by
    assert 2 == len(calls)
    clock.advance(1.0)
    guard.call(ask, "z")


async def _acall(guard: Guard, function, *arguments: object) -> object:
    async def call(*given: object) -> object:
        return function(*given)

    return await guard.acall(call, *arguments)


def test_the_tenant_of_the_errand_is_the_key(fleet):
    """Without a word of the caller's."""
    layer = RateLayer(Limiter("model", [RateLimit("requests", 60, 60, 1, by="tenant")], fleet=fleet))
    guard = Guard("model", limits=[layer], retry=None, fleet=fleet)
    for tenant in ("a", "b"):
        with errand(Errand(tenant=tenant)):
            guard.call(int)
    with errand(Errand(tenant="a", deadline=1.0)), pytest.raises(RateLimited):
        guard.call(int)


class Full:
    """A layer that refuses."""

    def enter(self, call):
        """Refuse."""
        raise BulkheadFull

    async def aenter(self, call):
        """Refuse."""
        raise BulkheadFull


def test_a_call_that_a_later_layer_refuses_is_not_charged(fleet, limiter):
    """It was not made."""
    guard = Guard("model", limits=[RateLayer(limiter), Full()], retry=None, fleet=fleet)
    for _ in range(10):
        with pytest.raises(BulkheadFull):
            guard.call(int)
    assert 0.0 == wait_of(limiter)


def test_a_call_that_failed_is_charged(fleet, limiter):
    """The provider counted it."""
    guard = Guard("model", limits=[RateLayer(limiter)], retry=None, fleet=fleet)
    for _ in range(3):
        with pytest.raises(ValueError, match="invalid literal"):
            guard.call(int, "x")
    assert wait_of(limiter) > 0


def test_a_correction_that_fails_is_told_and_harms_no_call(fleet, limiter, seen):
    """The result is the caller's all the same; what it says is not told, as it may be secret."""
    guard = Guard(
        "model", limits=[RateLayer(limiter, settle=lambda result: result["x"])], retry=None, fleet=fleet
    )
    assert 0 == guard.call(int)
    assert [ServiceFailed("rate limits", "TypeError")] == [
        one for one in seen if isinstance(one, ServiceFailed)
    ]


def test_a_refusal_from_further_down_the_call_is_charged(fleet, limiter):
    """Another upstream's guard refused, within the call: this one may have been called by then."""
    inner = Guard("inner", limits=[Full()], retry=None, fleet=fleet)
    guard = Guard("model", limits=[RateLayer(limiter)], retry=None, fleet=fleet)
    for _ in range(3):
        with pytest.raises(BulkheadFull):
            guard.call(lambda: inner.call(int))
    assert wait_of(limiter) > 0


def test_what_a_provider_says_is_not_said_of_one_tenant(fleet):
    """A limit that is kept by a key is the caller's own, and no header speaks of it."""
    limiter = Limiter("model", [RateLimit("requests", 60, 60, 1, by="tenant")], fleet=fleet)
    limiter.learn({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60s"})
    assert 0.0 == wait_of(limiter, keys={"tenant": ""})


def test_a_forked_child_waits_for_no_lock_of_the_parent(limiter):
    """And begins with full limits: the parent's calls are the parent's."""
    for _ in range(3):
        limiter.acquire()
    with limiter._alone._lock:  # noqa: SLF001 -- as another thread may hold it when somebody forks
        child = os.fork()
        if child == 0:
            os._exit(0 if wait_of(limiter) == 0.0 else 1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_who_joins_another_fleet_in_the_middle_of_a_call_asks_that_one(fleet):
    """No store is kept under the namespace of the first."""
    link = Link.of(fleet)

    class Store:
        def __init__(self, _: object, *, namespace: str) -> None:
            self.namespace = namespace
            if namespace == "first":
                share("redis://127.0.0.1:1/0", namespace="second", fleet=fleet)
                assert link.store(lambda _, namespace: namespace) == "second"

    share("redis://127.0.0.1:1/0", namespace="first", fleet=fleet)
    assert ["first", "second"] == [store.namespace for _ in range(2) if (store := link.store(Store))]


def test_what_waits_to_be_done_has_an_end():
    """A store that is slow fills no memory: what is beyond is not done, and whoever asked is told."""
    hands, goes_on = Hands(), threading.Event()
    waiting = [hands.run(goes_on.wait) for _ in range(MOST_WAITING)]
    assert None is hands.run(int)
    goes_on.set()
    assert all(future is not None and future.result() for future in waiting)
    again = hands.run(int)
    assert again is not None
    assert 0 == again.result()
