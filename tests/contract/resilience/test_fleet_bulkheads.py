"""Places of a whole fleet on a real Redis: holders that are killed, frozen, and stores that are lost."""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection

import pytest

from holdfast.jobs.errors import BulkheadFull
from holdfast.jobs.events import Events
from holdfast.jobs.upstream_events import LimitStoreFound, LimitStoreLost, PermitLost
from holdfast.resilience.breaker.store import store_client
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits.bulkhead_layer import BulkheadLayer
from holdfast.resilience.limits.fleet_bulkhead import FleetBulkhead, FleetPermit
from holdfast.resilience.limits.permit_store import RedisPermits
from holdfast.resilience.sharing import share
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

LEASE = 0.6
KEY = "test:bulkhead:{search}"
MEMBERS: list["Member"] = []
"""Of one test: whoever is forgotten with permits would renew them during the next one."""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """All permits are given back at the end."""
    yield
    while MEMBERS:
        member = MEMBERS.pop()
        for permit in member.permits:
            permit.release()
        member.fleet.stop()


class Member:
    """One process of a fleet, as far as its bulkhead goes."""

    def __init__(self, url: str, size: int = 3, *, lease: float = LEASE, processes: int = 1) -> None:
        self.seen: list[object] = []
        self.fleet = Fleet(events=Events(self.seen.append))
        self.bulkhead = FleetBulkhead(
            "search", size, lease_seconds=lease, processes=lambda: processes, fleet=self.fleet
        )
        self.permits: list[FleetPermit] = []
        share(url, namespace="test", fleet=self.fleet)
        MEMBERS.append(self)

    def taken(self, times: int) -> list[FleetPermit]:
        """Take as many permits as there are, of so many."""
        permits = []
        for _ in range(times):
            try:
                permits.append(self.bulkhead.acquire())
            except BulkheadFull:
                break
        self.permits += permits
        return permits

    def count(self, kind: type) -> int:
        """Count events of a kind."""
        return sum(isinstance(one, kind) for one in self.seen)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis that may be harmed."""
    with RedisServer() as started:
        yield started


def hold(url: str, times: int, pipe: Connection) -> None:
    """Be another process: hold permits, and say at each word how many of them are lost."""
    member = Member(url)
    permits = member.taken(times)
    pipe.send(len(permits))
    while (word := pipe.recv()) != "end":
        if word == "free":
            for permit in permits:
                permit.release()
        pipe.send(sum(permit.is_lost for permit in permits))


class Other:
    """Another process that holds permits."""

    def __init__(self, url: str, times: int) -> None:
        fork = multiprocessing.get_context("fork")
        self.pipe, there = fork.Pipe()
        self.process = fork.Process(target=hold, args=(url, times, there), daemon=True)
        self.process.start()
        there.close()
        self.held = self.pipe.recv()

    def ask(self, word: str) -> int:
        """Say a word, and hear how many permits are lost there."""
        self.pipe.send(word)
        return self.pipe.recv()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()


def test_a_killed_holders_permits_come_back(redis_url):
    """After its lease; until then nobody else gets them, and those that are renewed stay."""
    member, other = Member(redis_url), Other(redis_url, 2)
    try:
        (permit,) = member.taken(5)
        assert 2 == other.held
        other.signal(signal.SIGKILL)
        assert [] == member.taken(1)
        until(lambda: member.taken(1), what="the lease of the dead to end")
        assert not permit.is_lost
        until(lambda: member.taken(1), what="the other one")
        assert [] == member.taken(1)
    finally:
        other.end()


def test_what_is_held_is_renewed_for_as_long_as_it_is(redis_url):
    """Over several leases, by one thread; and given back at the end."""
    members = [Member(redis_url), Member(redis_url)]
    permits = members[0].taken(3)
    client = store_client(redis_url)

    def ends() -> float:
        return min(score for _, score in client.zrange(KEY, 0, -1, withscores=True))

    ends_first = ends()
    until(lambda: ends() > ends_first + LEASE * 1_000 * 2, what="renewals beyond two leases")
    assert [] == members[1].taken(1)
    assert not any(permit.is_lost for permit in permits)
    assert 1 == sum(thread.name == "holdfast-permits" for thread in threading.enumerate())
    for permit in permits:
        permit.release()
    until(lambda: client.zcard(KEY) == 0, what="nothing to be held")
    client.close()


def test_a_forked_child_renews_what_it_holds(redis_url):
    """By a thread of its own: the one of its parent, which held some before, is not there."""
    member = Member(redis_url)
    member.taken(1)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):  # or it would go on as a second test run
            (permit,) = member.taken(1)
            ends_first = permit.until
            until(lambda: permit.until > ends_first + LEASE * 2, what="renewals beyond two leases")
            os._exit(0)
        os._exit(1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_frozen_holder_that_wakes_notices_and_frees_nobodys_place(redis_url):
    """Its places went to others: it sees that at once, and its release takes nothing away."""
    member, other = Member(redis_url), Other(redis_url, 3)
    try:
        assert 3 == other.held
        other.signal(signal.SIGSTOP)
        until(lambda: member.taken(1), what="a place of the frozen")
        until(lambda: member.taken(1), what="another one")
        until(lambda: member.taken(1), what="the last one")
        other.signal(signal.SIGCONT)
        assert 3 == other.ask("look")
        assert 3 == other.ask("free")
        client = store_client(redis_url)
        assert 3 == client.zcard(KEY)
        assert [] == member.taken(1)
        client.close()
    finally:
        other.signal(signal.SIGCONT)
        other.end()


def test_a_permit_that_another_one_got_is_told(redis_url):
    """Once for each, as an event; and when there is room, the call that still runs counts again."""
    member = Member(redis_url, size=1)
    (permit,) = member.taken(1)
    client = store_client(redis_url)
    client.delete(KEY)
    store = RedisPermits(client, namespace="test")
    store.take("search", "another", most=1, lease=60_000)
    until(lambda: permit.is_lost, what="the loss to be noticed")
    assert 1 == member.count(PermitLost)
    store.free("search", "another")
    until(lambda: not permit.is_lost, what="the place to be its own again")
    assert [permit.token.encode()] == client.zrange(KEY, 0, -1)
    assert 1 == member.count(PermitLost)
    client.close()


def test_after_a_flush_the_holders_count_again(redis_url):
    """Within a third of a lease."""
    member = Member(redis_url)
    permits = member.taken(3)
    client = store_client(redis_url)
    client.flushall()
    until(lambda: client.zcard(KEY) == 3, what="the permits to be known again")
    assert [] == member.taken(1)
    assert not any(permit.is_lost for permit in permits)
    client.close()


def test_a_frozen_store_costs_a_caller_a_quarter_of_a_second_once(server):
    """Then each has its part of the places, and what it holds counts; later all count together again."""
    member = Member(server.url, size=8, lease=60.0, processes=2)
    held = member.taken(3)
    server.pause()
    began = time.monotonic()
    more = member.taken(5)
    assert 1 == len(more)
    assert time.monotonic() - began < 1.0
    assert 1 == member.count(LimitStoreLost)
    held[0].release()
    assert 1 == len(member.taken(2))
    server.resume()
    until(lambda: member.taken(1) and member.count(LimitStoreFound), what="the store to be found")
    assert 1 == member.count(LimitStoreFound)


def test_what_was_got_without_the_store_is_known_to_it_later(server):
    """When it is back, the places that were taken meanwhile are taken for all."""
    member, other = Member(server.url), Member(server.url)
    server.kill()
    permits = member.taken(3)
    assert 3 == len(permits)
    server.start()
    client = store_client(server.url)
    until(lambda: client.zcard(KEY) == 3, what="the permits to be known")
    assert [] == other.taken(1)
    assert not any(permit.is_lost for permit in permits)
    client.close()


def test_who_stops_waiting_holds_nothing(redis_url, monkeypatch):
    """The permit came when nobody waited any more: it is given back at once, not after the lease."""
    member = Member(redis_url, lease=60.0)
    client = store_client(redis_url)
    is_lent, goes_on, take = threading.Event(), threading.Event(), RedisPermits.take

    def slowly(store: RedisPermits, name: str, token: str, *, most: int, lease: int) -> int:
        wait = take(store, name, token, most=most, lease=lease)
        is_lent.set()
        goes_on.wait(10.0)
        return wait

    async def ask() -> None:
        waiting = asyncio.create_task(member.bulkhead.aacquire())
        while not is_lent.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(RedisPermits, "take", slowly)
        asyncio.run(ask())
        assert 1 == client.zcard(KEY)
        goes_on.set()
    until(lambda: client.zcard(KEY) == 0, what="the permit to be given back")
    client.close()


def test_what_is_given_back_while_it_is_renewed_stays_given_back(redis_url, monkeypatch):
    """A renewal that was on its way lends nothing again to a call that has ended."""
    member = Member(redis_url)
    client = store_client(redis_url)
    (permit,) = member.taken(1)
    renew = RedisPermits.renew
    is_done = threading.Event()

    def late(store: RedisPermits, name: str, tokens: list[str], *, most: int, lease: int) -> list[bool]:
        permit.release()
        until(lambda: client.zcard(KEY) == 0, what="it to be given back")
        kept = renew(store, name, tokens, most=most, lease=lease)
        assert 1 == client.zcard(KEY)
        is_done.set()
        return kept

    with monkeypatch.context() as patch:
        patch.setattr(RedisPermits, "renew", late)
        assert is_done.wait(10.0)
    until(lambda: client.zcard(KEY) == 0, timeout_seconds=LEASE / 2, what="the place to be free")
    client.close()


def test_it_works_in_guards_of_two_processes(redis_url):
    """Sync and async: a call holds a place for as long as it runs."""
    members = [Member(redis_url, size=1, lease=60.0), Member(redis_url, size=1, lease=60.0)]
    guards = [
        Guard("search", limits=[BulkheadLayer(one.bulkhead)], retry=None, fleet=one.fleet) for one in members
    ]

    async def call() -> int:
        with pytest.raises(BulkheadFull):
            # Not within this call: another process knows nothing of it.
            await asyncio.get_running_loop().run_in_executor(None, guards[0].call, int)
        return 1

    assert 1 == asyncio.run(guards[1].acall(call))
    until(lambda: _passes(guards[0]), what="the place to be free")


def _passes(guard: Guard) -> bool:
    try:
        guard.call(int)
    except BulkheadFull:
        return False
    return True
