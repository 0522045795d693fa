"""Caches of several processes that share a Redis; each `Peer` is one of them, with a memory of its own."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from holdfast.jobs.events import Events
from holdfast.jobs.upstream_events import CacheStoreFound, CacheStoreLost
from holdfast.resilience.breaker.store import SharedRedis, store_client
from holdfast.resilience.cache.cache import Cache
from holdfast.resilience.cache.store import RedisCacheStore
from holdfast.resilience.fleet import Fleet
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until, until_async


class Peer:
    """A process as far as its cache goes."""

    def __init__(self, url: str | None, **options) -> None:
        self.told: list[object] = []
        events = Events()
        events.add(self.told.append)
        self.fleet = Fleet(events=events)
        given = {
            "ttl_seconds": 60,
            "recheck_seconds": 0,
            "patience_seconds": 10,
            "fleet": self.fleet,
        } | options
        self.cache = Cache("answers", **given)
        self.fleet.shared = None if url is None else SharedRedis(url, "test")
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def make(self) -> object:
        self.calls += 1
        assert self.gate.wait(10)
        return self.calls

    async def amake(self) -> object:
        return await asyncio.to_thread(self.make)

    def get(self, parts: object = "a") -> object:
        return self.cache.get_or_call(parts, self.make)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    with RedisServer() as started:
        yield started


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """Looks at what stands in Redis."""
    opened = store_client(redis_url)
    yield opened
    opened.close()


def test_an_answer_of_one_process_is_that_of_all(redis_url):
    """The other one makes none, and knows how old it is."""
    one, other = Peer(redis_url), Peer(redis_url)
    assert [1, 1] == [one.get(), other.get()]
    assert (1, 0) == (one.calls, other.calls)
    age = other.cache.lookup("a").age_seconds
    assert 0 <= age < 10
    until(lambda: other.cache.lookup("a").age_seconds > age, what="it grows older")


def test_a_cache_made_before_the_redis_is_known_takes_it_at_the_next_call(redis_url):
    """A cache is made at the top of a module, before any setting was read."""
    one, other = Peer(None), Peer(redis_url)
    assert 1 == one.get("before")
    one.fleet.shared = SharedRedis(redis_url, "test")
    one.get("after")
    other.calls = 10
    assert (11, 2) == (other.get("before"), other.get("after"))


def test_in_the_fleet_one_process_makes_it_and_the_others_wait(redis_url):
    """Until it is there."""
    one, other = Peer(redis_url), Peer(redis_url)
    one.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.get)
        until(lambda: one.calls, what="one makes it")
        second = pool.submit(other.get)
        until(lambda: other.cache.waiting, what="the other one asks")
        one.gate.set()
        assert (1, 1) == (first.result(), second.result())
    assert 0 == other.calls


def test_who_takes_the_lease_late_has_the_answer_that_was_kept_meanwhile(redis_url, client):
    """Another one kept its answer and gave the lease back, between our look and our turn to make it."""

    class Late(RedisCacheStore):
        def take(self, cache: str, key: str, *, seconds: float) -> str | None:
            """Take the lease, but only after the other one has ended."""
            contextvars.Context().run(other.get)  # as another process, which makes nothing at present
            return super().take(cache, key, seconds=seconds)

    other = Peer(redis_url)
    late = Peer(redis_url, store=Late(client, namespace="test"))
    late.calls = 10
    assert (1, 1, 10) == (late.get(), other.calls, late.calls)
    assert [] == [key for key in client.scan_iter() if key.endswith(b":lease")]


def test_on_event_loops_too_one_process_makes_it(redis_url):
    """And nobody's loop is blocked meanwhile."""
    one, other = Peer(redis_url), Peer(redis_url)

    async def play() -> list[object]:
        one.gate.clear()
        first = asyncio.create_task(one.cache.aget_or_call("a", one.amake))

        async def has_begun() -> bool:
            return one.calls > 0

        await until_async(has_begun, what="one makes it")
        second = asyncio.create_task(other.cache.aget_or_call("a", other.amake))
        asyncio.get_running_loop().call_later(0.1, one.gate.set)
        return await asyncio.gather(first, second)

    assert [1, 1] == asyncio.run(play())
    assert 0 == other.calls


def test_who_has_no_patience_left_makes_it_as_well(redis_url):
    """A process that hangs, or died, holds the others up for a bounded time."""
    one, other = Peer(redis_url), Peer(redis_url, patience_seconds=0.1)
    one.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.get)
        until(lambda: one.calls, what="one makes it")
        assert 1 == other.get()
        one.gate.set()
        first.result()
    assert (1, 1) == (one.calls, other.calls)


def test_after_a_failure_the_others_wait_for_nobody(redis_url, client):
    """The lease is given back with the error, so the next one begins at once."""
    one, other = Peer(redis_url), Peer(redis_url, patience_seconds=0)

    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        one.cache.get_or_call("a", fail)
    assert [] == client.keys("*lease")
    assert 1 == other.get()


def test_a_cancelled_call_gives_its_lease_back(redis_url, client):
    """Else everybody would wait for one who is gone."""
    one = Peer(redis_url)

    async def play() -> None:
        begun = asyncio.Event()

        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(one.cache.aget_or_call("a", hang))
        await begun.wait()
        assert [b"test:cache:{answers}:%s:lease" % one.cache.key("a").encode()] == client.keys("*lease")
        task.cancel()

        async def is_back() -> bool:
            return not client.keys("*lease")

        await until_async(is_back, what="the lease is given back")

    asyncio.run(play())


def test_of_processes_with_a_stale_answer_one_refreshes(redis_url):
    """All others go on with the stale one, and find the new one where they look next."""
    peers = [Peer(redis_url, ttl_seconds=0.2, stale_seconds=600) for _ in range(4)]
    peers[0].get()
    for peer in peers:
        peer.get()
    until(lambda: peers[0].cache.lookup("a").age_seconds > 0.2, what="it is stale")
    for peer in peers:
        peer.gate.clear()
        peer.calls = 10
    assert [1] * 4 == [peer.get() for peer in peers]
    until(lambda: sum(peer.calls > 10 for peer in peers), what="one refreshes")
    refresher = next(peer for peer in peers if peer.calls > 10)
    until(
        lambda: {refresher} == {peer for peer in peers if peer.cache.waiting}, what="the others have looked"
    )
    assert 1 == sum(peer.calls > 10 for peer in peers)
    refresher.gate.set()
    for peer in peers:
        until(lambda peer=peer: 11 == peer.cache.lookup("a").value, what="the new one is found")


def test_an_invalidated_answer_is_gone_in_all_processes(redis_url):
    """At once where a copy is trusted for no time."""
    one, other = Peer(redis_url), Peer(redis_url)
    one.get()
    other.get()
    assert one.cache.invalidate("a")
    assert None is other.cache.lookup("a")
    other.get()
    assert one.cache.invalidate_all()
    assert None is other.cache.lookup("a")
    assert 2 == other.get()


def test_a_copy_is_trusted_for_its_time_without_asking(redis_url):
    """That is what the memory is for, and how late an invalidation may come."""
    one, other = Peer(redis_url), Peer(redis_url, recheck_seconds=600)
    one.get()
    other.get()
    one.cache.invalidate("a")
    assert 1 == other.cache.lookup("a").value


def test_what_another_process_made_before_all_was_invalidated_does_not_come_back(redis_url):
    """It wrote it later, of an era that has ended."""
    one, other = Peer(redis_url), Peer(redis_url)
    one.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.get)
        until(lambda: one.calls, what="it was begun")
        other.cache.invalidate_all()
        one.gate.set()
        first.result()
    assert None is other.cache.lookup("a")


def test_a_flushed_redis_costs_one_call(redis_url, client):
    """Nothing fails, and all share again."""
    one, other = Peer(redis_url), Peer(redis_url)
    one.get()
    client.flushall()
    assert [2, 2] == [one.get(), other.get()]
    assert [] == one.told


def test_poison_in_redis_costs_one_call(redis_url, client):
    """It is overwritten by an answer."""
    one, other = Peer(redis_url), Peer(redis_url)
    client.rpush(f"test:cache:{{answers}}:{one.cache.key('a')}", "x")
    assert [1, 1] == [one.get(), other.get()]


def test_a_frozen_redis_is_told_once_and_asked_by_one_caller_a_second(server):
    """Each process has its own answers, and nobody gets an error; it is told when the store is back."""
    peer = Peer(server.url)
    peer.get()
    server.pause()
    assert [1] * 10 == [peer.get() for _ in range(10)]
    assert [2, 3, 4] == [peer.get(number) for number in range(3)]
    assert [CacheStoreLost] == [type(event) for event in peer.told]
    assert not peer.cache.invalidate("a")
    server.resume()
    until(lambda: peer.cache.invalidate("a"), what="the store is back")
    assert [CacheStoreLost, CacheStoreFound] == [type(event) for event in peer.told]


def test_callers_do_not_queue_up_behind_a_frozen_redis(server):
    """The first one finds it out; of those after it none waits a quarter of a second in each second."""
    asked: list[float] = []
    store = RedisCacheStore(store_client(server.url), namespace="test")
    peer = Peer(None, store=store)
    peer.get()
    server.pause()
    find = store.find
    store.find = lambda *given: asked.append(1) or find(*given)
    for number in range(50):
        peer.get(number)
    # One a second; 50 calls take far less than 5 s, unless each of them waits.
    assert 1 <= len(asked) <= 5
    server.resume()


def test_a_redis_that_is_not_there_at_all_is_nobodys_error():
    """From the first call on."""
    peer = Peer("redis://127.0.0.1:1/0")
    assert [1, 1] == [peer.get(), peer.get()]

    async def play() -> object:
        return await peer.cache.aget_or_call("b", peer.amake)

    assert 2 == asyncio.run(play())
    assert [CacheStoreLost] == [type(event) for event in peer.told]


def test_an_answer_made_while_the_store_was_lost_is_not_taken_for_invalidated(server):
    """The store never had it, so that it has not got it means nothing."""
    peer = Peer(server.url)
    server.pause()
    assert 1 == peer.get()
    server.resume()
    until(lambda: peer.cache.invalidate("other"), what="the store is back")
    assert 1 == peer.get()


def test_an_old_answer_that_the_store_never_had_stays_for_the_ladder(redis_url):
    """A failed call asks the store, which knows nothing of it; that is no invalidation."""
    peer = Peer(None, ttl_seconds=0.05)
    peer.get()
    peer.fleet.shared = SharedRedis(redis_url, "test")
    until(lambda: peer.cache.lookup("a") is None, what="it is old")

    def fail() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        peer.cache.get_or_call("a", fail)
    assert 1 == peer.cache.lookup("a", stale_if_error=True).value


ASKS = """
import sys, uuid
from holdfast.jobs.upstream_events import CacheStoreLost
from holdfast.resilience.breaker.store import SharedRedis
from holdfast.resilience.cache.cache import Cache
from holdfast.resilience.fleet import FLEET

events = []
FLEET.events.add(events.append)
FLEET.shared = SharedRedis(sys.argv[1], "test")
cache = Cache("answers", ttl_seconds=60, patience_seconds=30)
print("ready", flush=True)
sys.stdin.readline()
answer = cache.get_or_call("a", lambda: str(uuid.uuid4()))
print(answer, "alone" if any(isinstance(event, CacheStoreLost) for event in events) else "together")
"""


def test_of_eight_real_processes_one_makes_the_answer(redis_url):
    """Started together, with nothing kept anywhere: all have the one answer that one of them made.

    But for those whose Redis did not answer within its 250 ms, as happens where
    eight processes share two busy cores: they go on alone, as they should.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASKS, redis_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    try:
        assert ["ready\n"] * 8 == [process.stdout.readline() for process in processes]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].split() for process in processes]
        assert 1 == len({answer for answer, how in said if how == "together"})
    finally:
        for process in processes:
            process.kill()
            process.communicate()
