"""One cache in one process: who asks, who makes the answer, and who gets what."""

import asyncio
import contextvars
import functools
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.errors import AttemptTimeout, InvalidJson
from holdfast.jobs.events import Events
from holdfast.jobs.signals import Signal
from holdfast.jobs.upstream_events import (
    CacheRefreshFailed,
    CacheStoreFound,
    CacheStoreLost,
    CacheValueTooLarge,
)
from holdfast.resilience.breaker.store import StoreLost
from holdfast.resilience.cache.cache import Cache, Entry
from holdfast.resilience.cache.store import Found, MemoryCacheStore
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.frame import FRAME, Frame
from holdfast.testing.clock import FakeClock
from holdfast.tests.support.waiting import until, until_async


def on_a_loop(test):
    """Run an async test on a loop of its own."""

    @functools.wraps(test)
    def run(*arguments, **options) -> None:
        asyncio.run(test(*arguments, **options))

    return run


class World:
    """A cache, a function that counts its calls, and what was told."""

    def __init__(self, **options) -> None:
        self.clock = FakeClock()
        self.told: list[object] = []
        events = Events()
        events.add(self.told.append)
        self.fleet = Fleet(clock=self.clock, events=events)
        given = {"ttl_seconds": 10, "stale_seconds": 20, "stale_if_error_seconds": 100} | options
        self.cache = Cache("answers", fleet=self.fleet, **given)
        self.calls = 0
        self.error: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()

    def make(self) -> object:
        self.calls += 1
        number = self.calls
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return {"call": number}

    async def amake(self) -> object:
        self.calls += 1
        number = self.calls
        while not self.gate.is_set():
            await asyncio.sleep(0.001)
        if self.error is not None:
            raise self.error
        return {"call": number}

    def get(self, parts: object = "a") -> object:
        return self.cache.get_or_call(parts, self.make)

    async def aget(self, parts: object = "a") -> object:
        return await self.cache.aget_or_call(parts, self.amake)

    def waiting(self) -> int:
        return self.cache.waiting

    async def awaiting(self, number: int) -> None:
        async def is_so() -> bool:
            return number == self.waiting()

        await until_async(is_so, what=f"{number} wait")


@pytest.fixture
def world() -> World:
    """A cache of 10 s, stale for 20 more."""
    return World()


# What is the same, and what is kept.


def test_an_answer_is_made_once(world):
    """Then it is given, until its time is over."""
    assert [{"call": 1}] * 2 == [world.get(), world.get()]
    world.clock.advance(30)
    assert {"call": 2} == world.get()


def test_parts_tenants_and_versions_are_told_apart(world):
    """And equal parts are equal, in whatever order their keys stand."""
    keys = {
        world.cache.key(["a", 1]),
        world.cache.key(["a", "1"]),
        world.cache.key(["a", 1], tenant="one"),
        Cache("answers", ttl_seconds=1, version=2).key(["a", 1]),
        Cache("other", ttl_seconds=1).key(["a", 1]),
    }
    assert 5 == len(keys)
    assert world.cache.key({"a": 1, "b": 2}) == world.cache.key({"b": 2, "a": 1})
    assert {64} == {len(key) for key in keys}


def test_nobody_can_change_the_answer_of_another(world):
    """Each gets a value of its own, also the one who made it."""
    first = world.get()
    first["call"] = "changed"
    assert {"call": 1} == world.get()


def test_all_get_the_same_kind_of_value(world):
    """A tuple comes as a list from the first call on, so that no test passes by luck."""
    assert [1, 2] == world.cache.get_or_call("a", lambda: (1, 2))
    assert [1, 2] == world.cache.get_or_call("a", lambda: (1, 2))


def test_failures_and_nothing_are_not_kept(world):
    """The next call tries again."""
    world.error = RuntimeError("no")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            world.get()
    assert [None, None] == [world.cache.get_or_call("b", lambda: None) for _ in range(2)]
    assert None is world.cache.lookup("b")
    assert 2 == world.calls


def test_an_answer_of_nothing_ends_the_older_one(world):
    """What there was before is not true any more."""
    world.get()
    world.clock.advance(50)
    world.cache.get_or_call("a", lambda: None)
    assert None is world.cache.lookup("a", stale_if_error=True)


def test_a_value_that_is_not_json_is_refused(world):
    """Now, and not by whoever reads it later."""
    with pytest.raises(InvalidJson):
        world.cache.get_or_call("a", object)
    with pytest.raises(InvalidJson):
        world.cache.get_or_call(object(), world.make)


def test_a_value_that_is_too_large_is_given_and_not_kept(world):
    """Whoever asked for it has it; the size is told."""
    large = "x" * LARGEST_BYTES
    assert large == world.cache.get_or_call("a", lambda: large)
    assert [CacheValueTooLarge("answers", LARGEST_BYTES + 2)] == world.told
    assert None is world.cache.lookup("a")


def test_lookup_tells_the_age_and_an_old_answer_only_where_it_was_asked_for(world):
    """The ladder takes an answer that nobody else would get, for as long as it may."""
    world.get()
    world.clock.advance(50)
    assert None is world.cache.lookup("a")
    assert Entry({"call": 1}, 50.0) == world.cache.lookup("a", stale_if_error=True)
    world.clock.advance(50)
    assert None is world.cache.lookup("a", stale_if_error=True)


def test_a_failure_leaves_the_old_answer_for_the_ladder(world):
    """It is why it is kept."""
    world.get()
    world.clock.advance(50)
    world.error = ConnectionError()
    with pytest.raises(ConnectionError):
        world.get()
    assert Entry({"call": 1}, 50.0) == world.cache.lookup("a", stale_if_error=True)


def test_an_answer_can_be_put(world):
    """One that was made elsewhere is as good."""
    world.cache.put("a", 5)
    assert 5 == world.get()


@on_a_loop
async def test_the_methods_of_the_event_loop_do_the_same(world):
    """One by one."""
    assert [{"call": 1}] * 2 == [await world.aget(), await world.aget()]
    assert Entry({"call": 1}, 0.0) == await world.cache.alookup("a")
    assert await world.cache.ainvalidate("a")
    assert None is await world.cache.alookup("a")
    await world.cache.aput("a", 5)
    assert 5 == await world.aget()
    assert await world.cache.ainvalidate_all()
    assert None is await world.cache.alookup("a")


# One flight per key.


def test_of_many_threads_one_makes_the_answer(world):
    """The others wait for it, and all have the same."""
    world.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(world.get) for _ in range(8)]
        until(lambda: 8 == world.waiting(), what="all wait")
        world.gate.set()
        assert [{"call": 1}] * 8 == [answer.result() for answer in answers]


@on_a_loop
async def test_of_many_tasks_one_makes_the_answer(world):
    """The others wait for it, and all have the same."""
    world.gate.clear()
    tasks = [asyncio.create_task(world.aget()) for _ in range(8)]
    await world.awaiting(8)
    world.gate.set()
    assert [{"call": 1}] * 8 == await asyncio.gather(*tasks)


@on_a_loop
async def test_a_thread_waits_for_a_task_and_a_task_for_a_thread(world):
    """A process has one flight per key, whoever flies it."""
    for first, second in ((world.aget("a"), world.get), (asyncio.to_thread(world.get, "b"), None)):
        world.gate.clear()
        flying = asyncio.create_task(first)
        await world.awaiting(1)
        waits = asyncio.to_thread(second, "a") if second else world.aget("b")
        waiting = asyncio.create_task(waits)
        await world.awaiting(2)
        world.gate.set()
        assert await flying == await waiting
    assert 2 == world.calls


@on_a_loop
async def test_a_plain_call_on_the_loop_does_not_wait_for_a_task_of_the_same_loop(world):
    """That would stop the loop for ever; it makes the answer by itself."""
    world.gate.clear()
    task = asyncio.create_task(world.aget())
    await world.awaiting(1)
    assert 5 == world.cache.get_or_call("a", lambda: 5)
    world.gate.set()
    assert {"call": 1} == await task


@on_a_loop
async def test_who_is_cancelled_cancels_nobody_else(world):
    """The one who began goes, and the one who waited gets what was begun."""
    world.gate.clear()
    first = asyncio.create_task(world.aget())
    await world.awaiting(1)
    second = asyncio.create_task(world.aget())
    await world.awaiting(2)
    first.cancel()
    await world.awaiting(1)
    world.gate.set()
    assert {"call": 1} == await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert 1 == world.calls


@on_a_loop
async def test_the_last_one_who_is_cancelled_ends_the_call(world):
    """Nobody wants its answer, so nobody pays for it; and the next one begins anew."""
    world.gate.clear()
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    tasks = [asyncio.create_task(world.cache.aget_or_call("a", hang)) for _ in range(2)]
    await world.awaiting(2)
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(ended.wait(), 10)
    world.gate.set()
    assert {"call": 1} == await world.aget()


def test_a_failed_flight_fails_all_who_waited_and_nobody_later(world):
    """With the very same exception."""
    world.gate.clear()
    world.error = ConnectionError("once")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(world.get) for _ in range(4)]
        until(lambda: 4 == world.waiting(), what="all wait")
        world.gate.set()
        assert {world.error} == {answer.exception() for answer in answers}
    world.error = None
    assert {"call": 2} == world.get()


@on_a_loop
async def test_a_failed_flight_of_a_task_fails_all_who_waited_and_is_not_complained_of(world):
    """Also if none of them looks: asyncio has nothing to say about it."""
    world.gate.clear()
    world.error = ConnectionError("once")
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    tasks = [asyncio.create_task(world.aget()) for _ in range(3)]
    await world.awaiting(3)
    world.gate.set()
    assert [world.error] * 3 == await asyncio.gather(*tasks, return_exceptions=True)
    del tasks
    gc.collect()
    await asyncio.sleep(0)
    assert [] == complaints


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, Signal])
def test_who_is_stopped_stops_nobody_else(world, stop):
    """An interrupt, or what a handler decides, is its own; who waited makes the answer by itself."""
    world.gate.clear()

    def stopped() -> object:
        world.gate.wait(10)
        raise stop

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.cache.get_or_call, "a", stopped)
        until(lambda: 1 == world.waiting(), what="one flies")
        second = pool.submit(world.get)
        until(lambda: 2 == world.waiting(), what="one waits")
        world.gate.set()
        assert isinstance(first.exception(), stop)
        assert {"call": 1} == second.result()


@on_a_loop
async def test_a_function_that_cancels_itself_ends_as_it_would_alone(world):
    """And does not go round for ever."""

    async def cancels() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await world.cache.aget_or_call("a", cancels)


@on_a_loop
async def test_a_flight_that_is_cancelled_before_it_began_holds_nobody_up(world):
    """As when an event loop ends: who waits is told, and does not wait for ever."""
    waiting = asyncio.create_task(world.aget())
    await asyncio.sleep(0)  # so long that the flight is booked, and has not begun
    (flight,) = asyncio.all_tasks() - {waiting, asyncio.current_task()}
    flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 10)
    assert 0 == world.waiting()
    assert {"call": 1} == await world.aget()


def test_a_thread_waits_no_longer_than_its_attempt_may_take(world):
    """A flight that hangs holds nobody beyond its own time."""
    world.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(world.get)
        until(lambda: 1 == world.waiting(), what="one flies")
        context = contextvars.copy_context()
        context.run(FRAME.set, Frame(until=SystemClock().monotonic()))
        with pytest.raises(AttemptTimeout):
            context.run(world.get)
        world.gate.set()
        assert {"call": 1} == first.result()


def test_a_timeout_of_the_function_is_its_own(world):
    """Who waited gets it as it is, and not as a time of ours."""
    world.gate.clear()
    world.error = TimeoutError("theirs")
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(world.get) for _ in range(2)]
        until(lambda: 2 == world.waiting(), what="both wait")
        world.gate.set()
        assert {world.error} == {answer.exception() for answer in answers}


@on_a_loop
async def test_a_function_that_asks_for_its_own_answer_makes_it(world):
    """It does not wait for itself."""
    assert {"call": 1} == world.cache.get_or_call("a", world.get)

    async def nested() -> object:
        return await world.aget("b")

    assert {"call": 2} == await world.cache.aget_or_call("b", nested)


def test_a_flight_whose_event_loop_is_gone_holds_nobody_up(world):
    """It will never land; the next one flies."""
    loop = asyncio.new_event_loop()
    world.cache._flights.board(world.cache.key("a"), loop)  # noqa: SLF001 -- a loop that ends properly ends its tasks
    loop.close()
    assert {"call": 1} == world.get()


def test_a_forked_child_waits_for_no_flight_of_its_parent(world):
    """The thread that would bring the answer is not there."""
    world.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(world.get)
        until(lambda: 1 == world.waiting(), what="one flies")
        child = os.fork()
        if not child:
            os._exit(0 if 5 == world.cache.get_or_call("a", lambda: 5) else 1)
        assert (child, 0) == os.waitpid(child, 0)
        world.gate.set()
        answer.result()


# Stale answers.


def test_a_stale_answer_is_given_at_once_and_one_new_one_fetched_behind(world):
    """Whoever asks meanwhile gets the stale one, and begins nothing."""
    world.get()
    world.clock.advance(15)
    world.gate.clear()
    assert [{"call": 1}] * 5 == [world.get() for _ in range(5)]
    until(lambda: 2 == world.calls, what="a new one is fetched")
    world.gate.set()
    until(lambda: {"call": 2} == world.get(), what="the new one is given")
    assert 2 == world.calls


@on_a_loop
async def test_a_stale_answer_is_given_at_once_on_an_event_loop(world):
    """The same, and the new one is fetched in a context of its own, as it belongs to no job."""
    seen: list[Frame] = []

    async def make() -> object:
        seen.append(FRAME.get())
        return await world.amake()

    around = Frame(names=("somebody",))
    token = FRAME.set(around)
    await world.cache.aget_or_call("a", make)
    world.clock.advance(15)
    assert {"call": 1} == await world.cache.aget_or_call("a", make)
    FRAME.reset(token)

    async def is_new() -> bool:
        return {"call": 2} == await world.cache.aget_or_call("a", make)

    await until_async(is_new, what="the new one is given")
    assert [("somebody",), ()] == [frame.names for frame in seen]


def test_a_failed_refresh_is_told_and_tried_again_a_little_later(world):
    """A sick upstream is not called by everybody who asks; the stale answer goes on."""
    world.get()
    world.clock.advance(15)
    world.error = ConnectionError()
    world.get()
    until(lambda: world.told, what="it is told")
    assert [CacheRefreshFailed("answers", "ConnectionError")] == world.told
    until(lambda: 0 == world.waiting(), what="it has ended")
    assert [{"call": 1}] * 5 == [world.get() for _ in range(5)]
    assert 2 == world.calls
    world.error = None
    world.clock.advance(1)
    world.get()
    until(lambda: {"call": 3} == world.get(), what="the new one is given")


def test_after_a_failed_refresh_the_fleet_holds_off_too():
    """Else each of a hundred processes would call the sick upstream in its turn."""
    world = World()
    store = MemoryCacheStore(world.clock)
    world.cache = Cache("answers", ttl_seconds=10, stale_seconds=20, store=store, fleet=world.fleet)
    world.get()
    world.clock.advance(15)
    world.error = ConnectionError()
    world.get()
    until(lambda: world.told, what="it is told")
    key = world.cache.key("a")
    assert None is store.take("answers", key, seconds=1)
    world.clock.advance(1)
    assert store.take("answers", key, seconds=1)


def test_only_so_many_are_fetched_behind_at_one_time(world):
    """A cache whose answers all grow stale together starts sixteen threads, and not a thousand."""
    for number in range(100):
        world.get(number)
    world.clock.advance(15)
    world.gate.clear()
    for number in range(100):
        world.get(number)
    until(lambda: 116 == world.calls, what="sixteen are fetched")
    assert 16 == world.waiting()
    world.gate.set()
    until(lambda: 0 == world.waiting(), what="they have landed")
    for number in range(100):
        world.get(number)
    until(lambda: world.calls > 116, what="others follow")
    until(lambda: 0 == world.waiting(), what="they have landed")


# Invalidation.


def test_an_invalidated_answer_is_made_again(world):
    """And no other one is."""
    world.get("a")
    world.get("b")
    assert world.cache.invalidate("a")
    assert [{"call": 3}, {"call": 2}] == [world.get("a"), world.get("b")]


def test_all_can_be_invalidated(world):
    """Of all tenants."""
    world.get("a")
    world.cache.put("a", 1, tenant="one")
    assert world.cache.invalidate_all()
    assert None is world.cache.lookup("a")
    assert None is world.cache.lookup("a", tenant="one")


@pytest.mark.parametrize("everything", [False, True])
def test_what_was_begun_before_it_was_invalidated_is_not_kept(world, everything):
    """Who waits for it gets it; who comes later makes a new one."""
    world.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(world.get)
        until(lambda: 1 == world.calls, what="it was begun")
        assert world.cache.invalidate_all() if everything else world.cache.invalidate("a")
        world.gate.set()
        assert {"call": 1} == first.result()
    assert {"call": 2} == world.get()


class Store(MemoryCacheStore):
    """A store that can be lost, and tells what it is asked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.is_lost = False
        self.finds = 0
        self.keeps = 0
        self.before_keep = lambda: None

    def find(self, cache: str, key: str) -> Found:
        self.finds += 1
        if self.is_lost:
            raise StoreLost("on purpose")
        return super().find(cache, key)

    def keep(self, cache: str, key: str, text: bytes, *, era: str, seconds: float) -> None:
        self.keeps += 1
        self.before_keep()
        super().keep(cache, key, text, era=era, seconds=seconds)


@pytest.fixture
def store(world: World) -> Store:
    """The shared store of the world's cache."""
    store = Store(world.clock)
    world.cache = Cache("answers", ttl_seconds=10, recheck_seconds=5, store=store, fleet=world.fleet)
    return store


def test_what_was_invalidated_while_it_was_made_never_reaches_the_fleet(world, store):
    """Not even for a moment."""

    def make() -> int:
        world.cache.invalidate("a")
        return 1

    assert 1 == world.cache.get_or_call("a", make)
    assert (0, None) == (store.keeps, world.cache.lookup("a"))


def test_what_is_invalidated_while_it_is_written_is_taken_back(world, store):
    """Here and in the fleet."""
    store.before_keep = lambda: world.cache.invalidate("a")
    world.get()
    assert (1, None) == (store.keeps, store.find("answers", world.cache.key("a")).kept)
    assert None is world.cache.lookup("a")


def test_a_lost_store_is_told_once_and_asked_once_a_second(world, store):
    """However many ask, and however long it lasts."""
    store.is_lost = True
    for second in range(1, 4):
        for number in range(10):
            world.get([second, number])
        assert second == store.finds
        world.clock.advance(1)
    assert [CacheStoreLost("answers", "on purpose")] == world.told
    store.is_lost = False
    world.get("back")
    assert [CacheStoreFound("answers")] == world.told[1:]


def test_a_copy_is_asked_about_when_its_time_of_trust_is_over(world, store):
    """And not before; an answer that was invalidated elsewhere is then made again."""
    world.get()
    store.remove("answers", world.cache.key("a"))
    world.clock.advance(4)
    assert {"call": 1} == world.get()
    world.clock.advance(1)
    assert {"call": 2} == world.get()
