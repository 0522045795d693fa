"""Places of one process, for threads and coroutines together."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.jobs.errors import BulkheadFull
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.limits.adaptive import AdaptiveLimit, AdaptivePolicy
from holdfast.resilience.limits.bulkhead import Bulkhead
from holdfast.resilience.limits.bulkhead_layer import BulkheadLayer
from holdfast.resilience.limits.fleet_bulkhead import FleetBulkhead
from holdfast.resilience.limits.turnover import MOST_SECONDS, Turnover
from holdfast.testing.clock import FakeClock
from holdfast.tests.support.waiting import until_async


@pytest.fixture
def fleet(monkeypatch) -> Fleet:
    """A process on its own."""
    made = Fleet()
    monkeypatch.setattr(made.reporter, "start", lambda: None)
    return made


class Pushback(Exception):
    """An answer with 429."""

    status_code = 429


def test_who_finds_no_place_is_told_when_to_come_back():
    """One after the other; without an upstream, as the time is known."""
    bulkhead = Bulkhead(2)
    permits = [bulkhead.acquire(), bulkhead.acquire()]
    waits = []
    for _ in range(3):
        with pytest.raises(BulkheadFull) as refused:
            bulkhead.acquire()
        waits.append(refused.value.retry_after_seconds)
    assert [0.5, 1.0, 1.5] == waits
    assert "" == refused.value.upstream
    permits[0].release()
    bulkhead.acquire()


def test_a_place_is_given_back_once():
    """A second release frees nobody else's."""
    bulkhead = Bulkhead(1)
    permit = bulkhead.acquire()
    permit.release()
    permit.release()
    assert 0 == bulkhead.in_use
    bulkhead.acquire()
    permit.release()
    assert 1 == bulkhead.in_use


def test_threads_and_coroutines_share_one_count():
    """And never are there more than places, however they race; all get their turn, and nothing is left."""
    bulkhead, most, lock = Bulkhead(3, patience_seconds=30.0), [0], threading.Lock()

    def note() -> None:
        with lock:
            most[0] = max(most[0], bulkhead.in_use)

    def hold(_: int) -> None:
        permit = bulkhead.acquire()
        note()
        permit.release()

    async def ahold() -> None:
        permit = await bulkhead.aacquire()
        note()
        await asyncio.sleep(0)
        permit.release()

    async def many() -> None:
        await asyncio.gather(*(ahold() for _ in range(200)))

    with ThreadPoolExecutor(6) as pool:
        loops = [pool.submit(asyncio.run, many()) for _ in range(2)]
        list(pool.map(hold, range(200)))
        for loop in loops:
            loop.result()
    assert most[0] <= 3
    assert 0 == bulkhead.in_use


def test_first_come_first_served():
    """A place goes to who waits longest, not to who asks just now."""

    async def test() -> list[int]:
        bulkhead, order = Bulkhead(1, patience_seconds=30.0), []
        first = bulkhead.acquire()

        async def wait(number: int) -> None:
            permit = await bulkhead.aacquire()
            order.append(number)
            permit.release()

        waiting = [asyncio.create_task(wait(number)) for number in range(3)]
        await asyncio.sleep(0)
        first.release()
        waiting.append(asyncio.create_task(wait(9)))
        await asyncio.gather(*waiting)
        return order

    assert [0, 1, 2, 9] == asyncio.run(test())


def test_patience_has_an_end():
    """In threads and on loops; who gave up takes no place later."""
    bulkhead = Bulkhead(1, patience_seconds=0.02)
    permit = bulkhead.acquire()
    with pytest.raises(BulkheadFull):
        bulkhead.acquire()
    with pytest.raises(BulkheadFull):
        asyncio.run(bulkhead.aacquire())
    assert not bulkhead._waiting  # noqa: SLF001 -- nothing is kept of them
    permit.release()
    assert 0 == bulkhead.in_use


@pytest.mark.parametrize("is_granted", [True, False])
def test_who_is_cancelled_holds_nothing(is_granted):
    """Whether or not its turn had come just then."""

    async def test() -> None:
        bulkhead = Bulkhead(1, patience_seconds=30.0)
        first = bulkhead.acquire()
        waiting = asyncio.create_task(bulkhead.aacquire())
        await asyncio.sleep(0)
        if is_granted:
            first.release()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        first.release()
        assert 0 == bulkhead.in_use
        bulkhead.acquire()

    asyncio.run(test())


def test_a_waiting_thread_is_woken_by_a_loop():
    """And the other way round."""
    bulkhead = Bulkhead(1, patience_seconds=30.0)

    async def test() -> None:
        permit = await bulkhead.aacquire()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(bulkhead.acquire)
            queue = bulkhead._waiting  # noqa: SLF001 -- who waits is seen nowhere else
            await until_async(lambda: _true(bool(queue)), what="the thread to wait")
            permit.release()
            held = await asyncio.wrap_future(waiting)
            waiter = asyncio.create_task(bulkhead.aacquire())
            await asyncio.sleep(0)
            pool.submit(held.release)
            (await waiter).release()

    asyncio.run(test())


async def _true(value: bool) -> bool:  # noqa: FBT001 -- what is waited for
    return value


def test_an_adaptive_size_is_cut_and_grows_in_a_guard(fleet):
    """By what the upstream answers; who waits gets the place that is new."""
    limit = AdaptiveLimit(AdaptivePolicy(start=2, floor=1, ceiling=3))
    bulkhead = Bulkhead(limit)
    guard = Guard("search", limits=[BulkheadLayer(bulkhead)], retry=None, fleet=fleet)

    def push() -> None:
        raise Pushback

    with pytest.raises(Pushback):
        guard.call(push)
    assert 1 == bulkhead.size
    guard.call(int)
    assert 2 == bulkhead.size
    with pytest.raises(ValueError, match="invalid literal"):
        guard.call(int, "x")
    with pytest.raises(TimeoutError):
        guard.call(_time_out)
    assert 1 == bulkhead.size


def _time_out() -> None:
    raise TimeoutError


def test_a_forked_child_begins_with_all_places():
    """The parent's calls are not its own, and cannot be ended there."""
    bulkhead = Bulkhead(1)
    permit = bulkhead.acquire()
    child = os.fork()
    if child == 0:
        try:
            permit.release()
            is_right = bulkhead.in_use == 0
            bulkhead.acquire()
            permit.release()
            is_right = is_right and bulkhead.in_use == 1
            os._exit(0 if is_right else 1)
        except BaseException:  # noqa: BLE001 -- a child must not go on with the parent's tests
            os._exit(2)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert 1 == bulkhead.in_use


def test_a_fleet_of_one_has_all_places(fleet):
    """Without a shared store; and no lease ends there."""
    bulkhead = FleetBulkhead("search", 2, lease_seconds=0.03, processes=lambda: 9, fleet=fleet)
    guard = Guard("search", limits=[BulkheadLayer(bulkhead)], retry=None, fleet=fleet)
    permits = [bulkhead.acquire(), asyncio.run(bulkhead.aacquire())]
    with pytest.raises(BulkheadFull):
        guard.call(int)
    assert not permits[0].is_lost
    for _ in range(2):
        permits[0].release()
    guard.call(int)
    assert 1 == bulkhead.in_use


def test_no_lease_ends_where_nobody_else_is():
    """An hour later the place is still taken, and its holder has not lost it."""
    clock = FakeClock()
    bulkhead = FleetBulkhead("search", 1, fleet=Fleet(clock=clock))
    permit = bulkhead.acquire()
    clock.advance(3_600.0)
    with pytest.raises(BulkheadFull):
        bulkhead.acquire()
    assert not permit.is_lost


def test_the_usual_time_is_told():
    """What calls took lately, by the number of places; bounded, and in turns."""
    turnover = Turnover()
    turnover.note(10.0)
    assert [5.0, 10.0, 15.0] == [turnover.wait(2) for _ in range(3)]
    turnover.note(10.0)
    assert 15.0 == turnover.wait(2)
    assert all(0.05 <= turnover.wait(2) <= MOST_SECONDS for _ in range(1_000))
    turnover = Turnover()
    turnover.note(-1.0)
    assert 0.05 == turnover.wait(5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bulkhead(0),
        lambda: Bulkhead(1, patience_seconds=-1.0),
        lambda: FleetBulkhead("", 1),
        lambda: FleetBulkhead("a", 0),
        lambda: FleetBulkhead("a", 1, lease_seconds=0.001),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    """At once."""
    with pytest.raises(ValueError, match=r"place|time|name|lease"):
        make()
