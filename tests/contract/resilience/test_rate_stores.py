"""One suite over every store of rate limits; and the scripts in Redis decide what Python decides."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from holdfast.jobs.clock import SystemClock
from holdfast.resilience.breaker.store import StoreLost, store_client
from holdfast.resilience.limits.gcra import (
    LONGEST_CLOSED,
    SPREAD,
    Bucket,
    Correction,
    Demand,
    correct,
    opens_at,
    take,
)
from holdfast.resilience.limits.policy import MICRO
from holdfast.resilience.limits.rate_store import CORRECT, TAKE, MemoryRates, RateStore, RedisRates
from holdfast.testing.clock import FakeClock
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

SECOND = MICRO
LONG = 600 * SECOND
SLOW = Demand(10 * SECOND, 50 * SECOND, LONG)
"""Five at once, then one in ten seconds."""


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """A client that gives up soon."""
    opened = store_client(redis_url)
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "redis"])
def store(request) -> RateStore:
    """Each store there is, empty."""
    if request.param == "memory":
        return MemoryRates(SystemClock())
    return RedisRates(request.getfixturevalue("client"), namespace="test")


def test_a_burst_passes_and_the_next_one_waits(store):
    """The wait is what is missing, to the second."""
    assert [0] * 5 == [store.take("up", {"r": SLOW}) for _ in range(5)]
    assert 9 * SECOND < store.take("up", {"r": SLOW}) <= 10 * SECOND
    assert 19 * SECOND < store.take("up", {"r": SLOW}) <= 20 * SECOND


def test_of_many_at_once_no_more_than_the_burst_pass(store):
    """However they race."""
    barrier = threading.Barrier(8)

    def ask(_: int) -> int:
        barrier.wait()
        return sum(store.take("up", {"r": SLOW}) == 0 for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert 5 == sum(pool.map(ask, range(8)))


def test_tenant_and_all_together_or_not_at_all(store):
    """Who has spent its own part takes nothing from the others."""
    mine, all_calls = Demand(10 * SECOND, 20 * SECOND, LONG), SLOW
    results = [store.take("up", {"t:a": mine, "all": all_calls}) == 0 for _ in range(10)]
    assert [True, True] + [False] * 8 == results
    others = [store.take("up", {"t:b": mine, "all": all_calls}) == 0 for _ in range(2)]
    assert [True, True] == others
    assert 0 == store.take("up", {"all": all_calls})
    assert store.take("up", {"all": all_calls}) > 0


def test_what_was_not_needed_is_given_back(store):
    """And the next call passes."""
    for _ in range(5):
        store.take("up", {"r": SLOW})
    store.correct("up", {"r": Correction(-10 * SECOND, 0, LONG)})
    assert 0 == store.take("up", {"r": SLOW})
    assert store.take("up", {"r": SLOW}) > 0


def test_all_of_it_can_be_given_back(store):
    """Then the whole burst passes again."""
    store.take("up", {"r": SLOW})
    store.correct("up", {"r": Correction(-10 * SECOND, 0, LONG)})
    assert [0] * 5 == [store.take("up", {"r": SLOW}) for _ in range(5)]


def test_what_was_needed_beyond_is_charged(store):
    """The next one waits for it, too."""
    store.correct("up", {"r": Correction(100 * SECOND, 0, LONG)})
    assert 59 * SECOND < store.take("up", {"r": SLOW}) <= 60 * SECOND


def test_a_closed_upstream_lets_nothing_pass(store):
    """Nor does a shorter word open it sooner; other upstreams are not concerned."""
    store.correct("up", {}, 7 * SECOND)
    store.correct("up", {}, 1 * SECOND)
    assert 6 * SECOND < store.take("up", {"r": SLOW}) <= 7 * SECOND
    assert 6 * SECOND < store.take("up", {}) <= 7 * SECOND
    assert 0 == store.take("down", {"r": SLOW})


def test_a_full_limit_leaves_nothing_behind(client):
    """Ten thousand keys are gone when their limits are full again, and so is a closed gate."""
    store = RedisRates(client, namespace="test")
    quick = Demand(SECOND // 10, SECOND, LONG)
    for number in range(10_000):
        store.take("up", {str(number): quick})
    store.correct("up", {}, SECOND // 10)
    until(lambda: client.dbsize() == 0, what="all keys to be gone")


def test_nothing_is_kept_for_longer_than_it_counts(store, request):
    """Whatever a call weighs, its debt and the turns of those who wait are bounded; so are their keys."""
    absurd = Demand(10**14, SECOND, LONG)
    assert 0 == store.take("up", {"r": absurd})
    assert LONG - 2 * SECOND < store.take("up", {"r": absurd}) <= LONG
    if isinstance(store, RedisRates):
        (key,) = request.getfixturevalue("client").keys("*")
        assert request.getfixturevalue("client").pttl(key) <= (LONG + SPREAD) // 1000


def test_a_gate_of_another_time_is_moved_to_this_one(client):
    """The server's clock went back by an hour: the upstream is closed for ten minutes, not for an hour."""
    seconds, _ = client.time()
    client.set("test:rate:{up}", (seconds + 3_600) * SECOND)
    store = RedisRates(client, namespace="test")
    assert LONGEST_CLOSED == store.take("up", {})
    assert int(client.get("test:rate:{up}")) <= (seconds + 5) * SECOND + LONGEST_CLOSED
    assert 0 < client.pttl("test:rate:{up}") <= LONGEST_CLOSED // 1000


def test_a_wish_that_was_cut_is_not_heard_again():
    """Closed for an hour is closed for ten minutes, also for who asks in the meantime."""
    clock = FakeClock()
    store = MemoryRates(clock)
    store.correct("up", {}, 3_600 * SECOND)
    assert LONGEST_CLOSED == store.take("up", {"r": SLOW})
    clock.advance(LONGEST_CLOSED / SECOND)
    assert 0 == store.take("up", {"r": SLOW})


def test_memory_has_an_end():
    """A million tenants leave the ten thousand that called last; here it is ten."""
    store = MemoryRates(SystemClock(), most=10)
    for number in range(100):
        store.take("up", {str(number): SLOW})
        store.take("up", {"dear": SLOW})
        store.correct(str(number), {}, SECOND)
    assert 10 == len(list(store))
    assert ("up", "dear") in list(store)


def test_keys_of_one_upstream_live_in_one_slot(client):
    """Whatever its name is, one call is one script on one server of a cluster."""
    store = RedisRates(client, namespace="test")
    for upstream in ("up", "}{", "a{b}c", "{}"):
        client.flushdb()
        store.correct(upstream, {}, SECOND)
        store.correct(upstream, {"one": Correction(SECOND, 0, LONG), "t{x}": Correction(SECOND, 0, LONG)})
        keys = client.keys("*")
        assert 3 == len(keys)
        slots = {key[key.index(b"{") + 1 : key.index(b"}")] for key in keys}
        assert 1 == len(slots)
        assert b"" not in slots


def test_a_bucket_that_somebody_wrote_is_full(client):
    """And one of another type is as good as a lost store."""
    store = RedisRates(client, namespace="test")
    client.set("test:rate:{up}:r", "nonsense")
    client.set("test:rate:{up}", "nonsense")
    assert 0 == store.take("up", {"r": SLOW})
    client.delete("test:rate:{up}:r")
    client.hset("test:rate:{up}:r", "a", "b")
    with pytest.raises(StoreLost):
        store.take("up", {"r": SLOW})
    with pytest.raises(StoreLost):
        store.correct("up", {"r": Correction(1, 0, LONG)})


def test_a_store_that_is_gone_is_told_at_once():
    """Refused, and frozen: within the client's patience, as one error."""
    with RedisServer() as server:
        client = store_client(server.url)
        store = RedisRates(client, namespace="test")
        store.take("up", {"r": SLOW})
        for bring_down in (server.pause, server.kill):
            bring_down()
            with pytest.raises(StoreLost):
                store.take("up", {"r": SLOW})
            with pytest.raises(StoreLost):
                store.correct("up", {"r": Correction(1, 0, LONG)})
        client.close()


COSTS = st.one_of(st.integers(1, 5_000_000), st.integers(1, 10**14))
DEMANDS = st.builds(Demand, COSTS, st.integers(1, 60_000_000), st.integers(10**7, 10**14))
CORRECTIONS = st.builds(
    Correction, st.integers(-(10**8), 10**8), st.integers(0, 10**8), st.integers(10**7, 10**11)
)
STEPS = st.tuples(
    st.one_of(
        st.dictionaries(st.sampled_from("abc"), DEMANDS),
        st.dictionaries(st.sampled_from("abc"), CORRECTIONS, min_size=1),
        st.integers(1, LONGEST_CLOSED),
    ),
    st.one_of(st.just(0), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(-(10**9), 0)),
)
START = 1_800_000_000 * MICRO


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_scripts_and_decisions_are_twins(client, walk):
    """Over any walk, also where the clock goes back: the same waits and buckets, to the last digit."""
    scripts = [
        client.register_script(
            text.replace("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }")
            .replace("'PX', math.ceil(left / 1000)", "'PX', 100000")
            .replace("'PX', math.ceil(closed / 1000)", "'PX', 100000")
        )
        for text in (TAKE, CORRECT)
    ]
    client.flushdb()
    buckets: dict[str, Bucket] = {}
    closed, now = 0, START
    for step, wait in walk:
        now += wait
        clock = [now // MICRO, now % MICRO]
        if isinstance(step, int):
            scripts[1](keys=["g"], args=[step, *clock])
            closed = max(closed, now + step)
            continue
        keys = ["g", *step]
        found = [buckets.get(name, Bucket()) for name in step]
        if all(isinstance(one, Demand) for one in step.values()):
            expected, after = take(found, list(step.values()), closed, now)
            closed = opens_at(closed, now)
            arguments = [number for one in step.values() for number in (one.cost, one.depth, one.longest)]
            assert expected == scripts[0](keys=keys, args=[*arguments, *clock])
        else:
            after = [correct(bucket, one, now) for bucket, one in zip(found, step.values(), strict=True)]
            arguments = [number for one in step.values() for number in (one.change, one.floor, one.longest)]
            scripts[1](keys=keys, args=[0, *arguments, *clock])
        buckets.update(zip(step, after, strict=True))
        for name, bucket in zip(step, after, strict=True):
            if max(bucket.full_at, bucket.queue_at) > now:
                assert f"{bucket.full_at} {bucket.queue_at}".encode() == client.get(name)
        assert closed == int(client.get("g") or 0)
