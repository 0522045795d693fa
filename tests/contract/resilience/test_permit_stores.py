"""One suite over every store of permits; and the scripts in Redis decide what Python decides."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from holdfast.jobs.clock import SystemClock
from holdfast.resilience.breaker.store import StoreLost, store_client
from holdfast.resilience.limits.leases import Leases, lend, renew
from holdfast.resilience.limits.permit_store import LEND, RENEW, MemoryPermits, PermitStore, RedisPermits
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

LONG = 60_000
SHORT = 40
"""Milliseconds of a lease."""


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """A client that gives up soon."""
    opened = store_client(redis_url)
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "redis"])
def store(request) -> PermitStore:
    """Each store there is, empty."""
    if request.param == "memory":
        return MemoryPermits(SystemClock())
    return RedisPermits(request.getfixturevalue("client"), namespace="test")


def take(store: PermitStore, token: str, *, most: int = 2, lease: int = LONG) -> int:
    """Ask for a permit."""
    return store.take("up", token, most=most, lease=lease)


def test_no_more_are_lent_than_there_are(store):
    """The next one is told when the first lease ends by itself; names do not see each other."""
    assert [0, 0] == [take(store, "a"), take(store, "b")]
    assert 0 < take(store, "c") <= LONG
    assert 0 == store.take("down", "c", most=2, lease=LONG)


def test_of_many_at_once_no_more_get_one(store):
    """However they race."""
    barrier = threading.Barrier(8)

    def ask(number: int) -> int:
        barrier.wait()
        return sum(take(store, f"{number}.{time}", most=7) == 0 for time in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert 7 == sum(pool.map(ask, range(8)))


def test_what_is_given_back_is_lent_again(store):
    """Once: a token that is not known frees nothing."""
    take(store, "a", most=1)
    store.free("up", "b")
    assert take(store, "c", most=1) > 0
    store.free("up", "a")
    store.free("up", "a")
    assert 0 == take(store, "c", most=1)
    assert take(store, "d", most=1) > 0


def test_a_dead_holders_permit_comes_back(store):
    """After its lease, and not before; one that is renewed stays."""
    take(store, "dead", lease=SHORT)
    take(store, "alive")
    until(lambda: take(store, "next") == 0, what="the lease to end")
    assert [False, True] == store.renew("up", ["dead", "alive"], most=2, lease=LONG)
    store.free("up", "dead")
    assert take(store, "another") > 0


def test_what_was_forgotten_is_lent_again_to_its_holder(store):
    """After a flush its call still runs: it gets a place as long as one is free."""
    assert [True, True, False] == store.renew("up", ["a", "b", "c"], most=2, lease=LONG)
    assert take(store, "d") > 0


def test_keys_expire(client):
    """Ten thousand bulkheads of dead processes leave nothing behind; a short lease cuts no longer one."""
    store = RedisPermits(client, namespace="test")
    for number in range(10_000):
        store.take(str(number), "t", most=1, lease=SHORT)
    until(lambda: client.dbsize() == 0, what="all keys to be gone")
    take(store, "a", lease=LONG)
    take(store, "b", lease=SHORT)
    assert LONG < client.pttl("test:bulkhead:{up}")


def test_a_key_that_somebody_wrote_is_a_lost_store(client):
    """Each process judges for itself."""
    store = RedisPermits(client, namespace="test")
    client.set("test:bulkhead:{up}", "nonsense")
    for ask in (
        lambda: take(store, "a"),
        lambda: store.renew("up", ["a"], most=1, lease=LONG),
        lambda: store.free("up", "a"),
    ):
        with pytest.raises(StoreLost):
            ask()


def test_a_store_that_is_gone_is_told_at_once():
    """Refused, and frozen."""
    with RedisServer() as server:
        client = store_client(server.url)
        store = RedisPermits(client, namespace="test")
        take(store, "a")
        for bring_down in (server.pause, server.kill):
            bring_down()
            with pytest.raises(StoreLost):
                take(store, "b")
            with pytest.raises(StoreLost):
                store.free("up", "a")
        client.close()


def test_a_clock_that_went_back_keeps_no_place_for_the_dead():
    """What ends in more than ten minutes was lent by another clock."""
    assert 0 == lend({"old": 3_600_000}, "new", most=1, lease=LONG, now=1)[0]
    assert 0 < lend({"old": 300_000}, "new", most=1, lease=LONG, now=1)[0]


TOKENS = st.sampled_from("abcdef")
STEPS = st.tuples(
    st.one_of(TOKENS, st.lists(TOKENS, max_size=4, unique=True)),
    st.integers(1, 4),
    st.sampled_from([100, 1_000, 15_000]),
    st.one_of(st.integers(0, 500), st.integers(0, 40_000), st.integers(-2_000_000, 0)),
)
START = 1_800_000_000_000


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_scripts_and_decisions_are_twins(client, walk):
    """Over any walk, also where the clock goes back: the same answers and the same leases."""
    scripts = [
        client.register_script(
            text.replace("redis.call('TIME')", "{ table.remove(ARGV, 1), table.remove(ARGV, 1) }")
            .replace("redis.call('PTTL', KEYS[1])", "0")
            .replace("'PEXPIRE', KEYS[1], 2 * lease", "'PEXPIRE', KEYS[1], 100000")
        )
        for text in (LEND, RENEW)
    ]
    client.flushdb()
    leases: Leases = {}
    now = START
    for step, most, lease, wait in walk:
        now += wait
        clock = [now // 1_000, now % 1_000 * 1_000]
        if isinstance(step, str):
            expected, leases = lend(leases, step, most=most, lease=lease, now=now)
            assert expected == scripts[0](keys=["k"], args=[*clock, step, most, lease])
        else:
            kept, leases = renew(leases, step, most=most, lease=lease, now=now)
            assert kept == [bool(one) for one in scripts[1](keys=["k"], args=[*clock, most, lease, *step])]
        stored = dict(client.zrange("k", 0, -1, withscores=True))
        assert {token.encode(): ends for token, ends in leases.items()} == stored
