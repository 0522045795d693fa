"""Rate limits of several processes on a real Redis, also one that is lost and comes back."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.jobs.errors import RateLimited
from holdfast.jobs.events import Events
from holdfast.jobs.upstream_events import LimitStoreFound, LimitStoreLost
from holdfast.resilience.breaker.store import StoreLost, store_client
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits import link
from holdfast.resilience.limits.hands import HANDS
from holdfast.resilience.limits.limiter import Limiter
from holdfast.resilience.limits.link import LONGEST_WAIT_SECONDS
from holdfast.resilience.limits.policy import RateLimit
from holdfast.resilience.limits.rate_layer import RateLayer
from holdfast.resilience.limits.rate_store import RedisRates
from holdfast.resilience.sharing import share
from holdfast.tests.support.proxy import Proxy
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

HOURLY = RateLimit("requests", 12, 3_600, burst=12)
PATIENCE = 0.25


class Member:
    """One process of a fleet, as far as its limits go."""

    def __init__(self, url: str, *limits: RateLimit, processes: int = 1) -> None:
        self.seen: list[object] = []
        self.fleet = Fleet(events=Events(self.seen.append))
        # Made before anybody knows a Redis, as module-level limits are.
        self.limiter = Limiter("model", limits or [HOURLY], processes=lambda: processes, fleet=self.fleet)
        share(url, namespace="test", fleet=self.fleet)

    def has_passed(self) -> bool:
        """Try a call."""
        try:
            self.limiter.acquire()
        except RateLimited:
            return False
        return True

    async def has_passed_async(self) -> bool:
        """Try a call on a loop."""
        try:
            await self.limiter.aacquire()
        except RateLimited:
            return False
        return True

    def count(self, kind: type) -> int:
        """Count events of a kind."""
        return sum(isinstance(one, kind) for one in self.seen)


@pytest.fixture
def members(redis_url: str) -> list[Member]:
    """Three of them."""
    return [Member(redis_url) for _ in range(3)]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis that may be harmed."""
    with RedisServer() as started:
        yield started


def measured(call: Callable[[], object]) -> float:
    """Return how long it took."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_all_count_together(members):
    """From threads and loops of three processes, as many pass as one limit allows."""
    with ThreadPoolExecutor(6) as pool:
        passed = sum(pool.map(lambda number: members[number % 3].has_passed(), range(30)))
    assert 12 == passed


def test_a_loop_is_not_blocked_and_counts_with_the_others(members):
    """Many coroutines on two loops, one after the other, with the same limiter."""

    async def ask(times: int) -> int:
        return sum(await asyncio.gather(*(members[0].has_passed_async() for _ in range(times))))

    assert 5 == asyncio.run(ask(5))
    assert 7 == asyncio.run(ask(50))
    assert not members[1].has_passed()


def test_what_is_settled_and_learned_reaches_the_others(members):
    """In the background, and within moments."""
    one, other, _ = members
    reservations = [one.limiter.acquire() for _ in range(12)]
    assert not other.has_passed()
    reservations[0].cancel()
    until(other.has_passed, what="what was given back")
    other.limiter.not_before(100.0)
    for reservation in reservations:
        reservation.cancel()
    until(lambda: 90 < _wait(one) <= 500, what="the word to arrive")


def _wait(member: Member) -> float:
    try:
        member.limiter.acquire()
    except RateLimited as refusal:
        return refusal.retry_after_seconds or 0.0
    return 0.0


def test_a_frozen_store_costs_a_caller_a_quarter_of_a_second_once(server):
    """Then each keeps to its share; when it is back, all count together again."""
    member = Member(server.url, processes=4)
    assert member.has_passed()
    server.pause()
    assert PATIENCE * 0.8 < measured(member.has_passed) < PATIENCE * 4
    assert 1 == member.count(LimitStoreLost)
    # The first one of its share has passed already.
    passed = 0

    def ask() -> None:
        nonlocal passed
        passed += member.has_passed()

    assert measured(lambda: [ask() for _ in range(200)]) < PATIENCE
    assert 2 == passed
    server.resume()
    until(lambda: member.has_passed() or member.count(LimitStoreFound) == 1, what="the store to be found")


def test_many_that_wait_for_a_frozen_store_wait_together(server):
    """A hundred coroutines and sixteen threads: none of them waits for the ones before it."""
    member = Member(server.url)
    assert member.has_passed()
    server.pause()

    async def ask() -> None:
        await asyncio.gather(*(member.has_passed_async() for _ in range(100)))

    assert measured(lambda: asyncio.run(ask())) < PATIENCE * 4
    other = Member(server.url)
    with ThreadPoolExecutor(16) as pool:
        assert measured(lambda: list(pool.map(lambda _: other.has_passed(), range(64)))) < PATIENCE * 4
    server.resume()


def test_a_store_that_is_too_slow_for_so_many_is_as_good_as_lost(server):
    """It answers each within its patience, but for two hundred that is five seconds: nobody waits so long."""
    with Proxy(server.port) as network:
        member = Member(f"redis://127.0.0.1:{network.port}/0")
        assert member.has_passed()
        network.delay(0.1)

        async def ask() -> None:
            await asyncio.gather(*(member.has_passed_async() for _ in range(200)))

        assert measured(lambda: asyncio.run(ask())) < LONGEST_WAIT_SECONDS * 2.5
        assert 1 == member.count(LimitStoreLost)


def all_hands_are_free() -> bool:
    """Whether nothing is being asked."""
    return HANDS._waiting == 0  # noqa: SLF001 -- nobody else knows


def test_who_judged_alone_in_the_meantime_is_not_charged_by_the_late_answer(server, monkeypatch):
    """It comes from a store that is lost by then, so it is the second one of this process's own."""
    member = Member(server.url, RateLimit("requests", 2, 3_600, burst=2))
    goes_on = threading.Event()

    def late(*_: object) -> int:
        goes_on.wait(10.0)
        raise StoreLost

    monkeypatch.setattr(link, "LONGEST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(RedisRates, "take", late)
    assert asyncio.run(member.has_passed_async())
    goes_on.set()
    until(all_hands_are_free, what="the late answer")
    assert [True, False] == [member.has_passed() for _ in range(2)]
    assert 1 == member.count(LimitStoreLost)


def test_a_loop_that_was_busy_takes_the_answer_that_is_there(members, monkeypatch):
    """The time was over when it looked, but the store had answered: it is not lost."""
    monkeypatch.setattr(link, "LONGEST_WAIT_SECONDS", 0.0)

    async def ask() -> None:
        asking = [asyncio.create_task(members[0].has_passed_async()) for _ in range(13)]
        await asyncio.sleep(0)
        # The loop stands still meanwhile.
        until(all_hands_are_free, what="the answers")
        assert 12 == sum(await asyncio.gather(*asking))

    asyncio.run(ask())
    assert 0 == members[0].count(LimitStoreLost)
    assert not members[1].has_passed()


def test_a_loop_goes_on_while_the_store_is_frozen(server):
    """Others get their turns while a call waits."""
    member = Member(server.url)
    assert member.has_passed()
    server.pause()

    async def ask() -> int:
        turns = 0
        waiting = asyncio.create_task(member.has_passed_async())
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(ask()) > 100
    server.resume()


def test_a_store_that_was_never_there(server):
    """The first call judges alone; the store is looked for, and used when it is there."""
    server.kill()
    member = Member(server.url)
    assert measured(member.has_passed) < PATIENCE * 2
    server.start()
    until(lambda: member.has_passed() or member.count(LimitStoreFound), what="the store to be found")
    assert 1 == member.count(LimitStoreLost)


def test_a_store_that_lost_its_data_begins_anew(members, redis_url):
    """With full limits, at worst one burst more."""
    while members[0].has_passed():
        pass
    store_client(redis_url).flushall()
    assert members[1].has_passed()


def test_who_stops_waiting_is_not_charged(redis_url, monkeypatch):
    """The answer came when nobody waited any more: it is given back."""
    one = Member(redis_url, RateLimit("requests", 1, 3_600, burst=1))
    is_charged, goes_on, take = threading.Event(), threading.Event(), RedisRates.take

    def slowly(store: RedisRates, upstream: str, demands: dict) -> int:
        wait = take(store, upstream, demands)
        is_charged.set()
        goes_on.wait(10.0)
        return wait

    async def ask() -> None:
        waiting = asyncio.create_task(one.has_passed_async())
        while not is_charged.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(RedisRates, "take", slowly)
        asyncio.run(ask())
        assert is_charged_in(redis_url)
        goes_on.set()
    until(one.has_passed, what="what was given back")


def is_charged_in(url: str) -> bool:
    """Whether anything is owed."""
    client = store_client(url)
    try:
        return bool(client.keys("*"))
    finally:
        client.close()


def test_what_was_charged_alone_is_given_back_alone(server):
    """At the price of that time: a fourth of the rate costs four times as much."""
    member = Member(server.url, RateLimit("requests", 12, 3_600, burst=12), processes=4)
    server.kill()
    reservations = [member.limiter.acquire() for _ in range(3)]
    assert not member.has_passed()
    for reservation in reservations[:2]:
        reservation.cancel()
    assert [True, True, False] == [member.has_passed() for _ in range(3)]


def test_a_forked_child_has_connections_of_its_own(redis_url):
    """And counts with its parent, whose locks and threads it does not wait for."""
    member = Member(redis_url)
    assert member.has_passed()
    assert asyncio.run(member.has_passed_async())
    with member.limiter._link._lock:  # noqa: SLF001 -- as another thread may hold it when somebody forks
        child = os.fork()
        if child == 0:
            passed = [member.has_passed() for _ in range(5)]
            passed += [asyncio.run(member.has_passed_async()) for _ in range(4)]
            os._exit(0 if all(passed) else 1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert [True, False] == [member.has_passed() for _ in range(2)]


def test_a_forked_child_looks_for_the_store_itself(server):
    """That its parent had lost it says nothing about now: the first call of the child is charged there."""
    member = Member(server.url)
    server.kill()
    assert member.has_passed()
    assert 1 == member.count(LimitStoreLost)
    server.start()
    child = os.fork()
    if child == 0:
        os._exit(0 if member.has_passed() and is_charged_in(server.url) else 1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_long_key_is_a_short_one_in_the_store(redis_url):
    """And two long ones are two."""
    member = Member(redis_url, RateLimit("requests", 1, 3_600, burst=1, by="tenant"))
    for end in "ab":
        member.limiter.acquire({}, {"tenant": "x" * 10_000_000 + end})
    client = store_client(redis_url)
    assert [True, True] == [len(key) < 200 for key in client.keys("*")]
    client.close()


def test_it_works_in_a_guard_of_two_processes(members):
    """Sync and async, charged in one place."""
    guards = [Guard("model", limits=[RateLayer(one.limiter)], retry=None, fleet=one.fleet) for one in members]

    async def call() -> int:
        return 1

    passed = 0
    for number in range(20):
        guard = guards[number % 2]
        try:
            passed += asyncio.run(guard.acall(call)) if number % 4 > 1 else guard.call(lambda: 1)
        except RateLimited as refusal:
            assert refusal.retry_after_seconds is not None  # noqa: PT017 -- one of many outcomes
    assert 12 == passed
    for one in members:
        one.fleet.stop()
