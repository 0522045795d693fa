"""One suite over every store of circuits; and the script in Redis decides what Python decides."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast.jobs.clock import SystemClock
from holdfast.resilience.breaker.circuit import Circuit, Phase, Turn
from holdfast.resilience.breaker.machine import exchange
from holdfast.resilience.breaker.message import Message, Order, ProbeWord
from holdfast.resilience.breaker.policy import LOCAL, BreakerPolicy
from holdfast.resilience.breaker.store import SCRIPT, BreakerStore, MemoryStore, RedisStore, StoreLost
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.breaker.wire import as_json, circuit_of_json, reply_of_json
from holdfast.resilience.control import Control
from holdfast.tests.support.breaker_walks import START, WALKS, present
from holdfast.tests.support.servers import RedisServer

RACES, LAP = 1_000, 20
"""How many upstreams are raced for, and how many of them at one time."""
TERMS = Terms.of(BreakerPolicy(open_seconds=0.05, longest_open_seconds=0.05, probe_lease_seconds=0.05))


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """A client that gives up soon."""
    opened = Redis.from_url(redis_url, socket_timeout=0.25, retry=Retry(NoBackoff(), 0))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "redis"])
def store(request) -> BreakerStore:
    """Each store there is, empty."""
    if request.param == "memory":
        return MemoryStore(SystemClock())
    return RedisStore(request.getfixturevalue("client"), namespace="test")


def opened(store: BreakerStore, name: str = "upstream"):
    """Open a circuit by a streak."""
    return store.exchange(name, Message("one", 1, failed=20, chance=0), TERMS)


def test_it_opens_and_everybody_hears(store):
    """Whoever speaks next learns it in the reply, with the time that is left."""
    reply = opened(store)
    assert (Phase.OPEN, (Turn.OPENED,), "streak") == (reply.phase, reply.turns, reply.reason)
    told = store.exchange("upstream", Message("another", 1), TERMS)
    assert (Phase.OPEN, ()) == (told.phase, told.turns)
    assert 0 < told.closed_for <= 50


def test_upstreams_do_not_see_each_other(store):
    """One is open, the other one is not."""
    opened(store, "one")
    assert Phase.CLOSED is store.exchange("two", Message("a", 1), TERMS).phase


def test_of_many_that_ask_at_once_one_probes(store):
    """Exactly one gets it, however they race; the others hear how long its lease is."""
    opened(store)
    slow = Terms.of(BreakerPolicy(open_seconds=0.05, probe_lease_seconds=60))
    barrier = threading.Barrier(8)

    def ask(number: int) -> int:
        barrier.wait()
        asks = (Message("a", 0, probe=ProbeWord.ASK, token=f"{number}.{time}") for time in range(20))
        return sum(store.exchange("upstream", ask, slow).is_prober for ask in asks)

    while store.exchange("upstream", Message("w", 0), TERMS).closed_for:
        pass
    with ThreadPoolExecutor(8) as pool:
        assert 1 == sum(pool.map(ask, range(8)))
    assert 50_000 < store.exchange("upstream", Message("w", 0), slow).closed_for <= 60_000


def test_in_a_thousand_races_one_probes(store):
    """Of eight processes that ask for many at once, each in an order of its own, exactly one gets each."""
    soon = Terms.of(BreakerPolicy(open_seconds=0.001, longest_open_seconds=0.001, probe_lease_seconds=60))
    winners: list[list[str]] = [[] for _ in range(RACES)]
    barrier = threading.Barrier(8)

    def race(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 -- a seed, so that a process asks as it did before
        for lap in range(0, RACES, LAP):
            barrier.wait(30)
            for upstream in chance.sample(range(lap, lap + LAP), LAP):
                token = f"{number}.{chance.random()}"
                ask = Message("a", 0, probe=ProbeWord.ASK, token=token)
                if store.exchange(str(upstream), ask, soon).is_prober:
                    winners[upstream].append(token)

    for upstream in range(RACES):
        store.exchange(str(upstream), Message("one", 1, failed=20, chance=0), soon)
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(race, range(8)):
            pass
    assert {1} == {len(tokens) for tokens in winners}


def test_a_prober_that_died_is_replaced(store):
    """Its lease ends by itself."""
    opened(store)
    provers = set()
    while len(provers) < 3:
        token = f"t{len(provers)}"
        if store.exchange("upstream", Message("a", 0, probe=ProbeWord.ASK, token=token), TERMS).is_prober:
            provers.add(token)
    assert Phase.HALF_OPEN is store.exchange("upstream", Message("a", 0), TERMS).phase


def test_a_whole_life(store):
    """Closed, open, a probe, a ramp, closed by hand."""
    opened(store)
    turns: list[Turn] = []
    while Turn.RECOVERING not in turns:
        reply = store.exchange("upstream", Message("a", 0, probe=ProbeWord.ASK, token="t"), TERMS)
        turns += reply.turns
        if reply.is_prober:
            won = Message("a", 0, probe=ProbeWord.WON, token="t")
            turns += store.exchange("upstream", won, TERMS).turns
    assert [Turn.PROBING, Turn.RECOVERING] == turns
    assert 1 == store.exchange("upstream", Message("a", 0, wants=9), TERMS).permits
    assert Phase.CLOSED is store.exchange("upstream", Message("a", 0, order=Order.CLOSE), TERMS).phase


def test_memory_has_an_end():
    """A million upstreams leave the ten thousand that were asked for last; here it is ten."""
    store = MemoryStore(SystemClock(), most=10)
    for number in range(100):
        store.exchange(str(number), Message("a", 1), TERMS)
        store.exchange("dear", Message("a", 1), TERMS)
    assert 10 == len(list(store))
    assert "dear" in list(store)


def test_a_turn_is_told_on_the_channel(client):
    """With all that a listener needs, and nothing is told of what turned nothing."""
    store = RedisStore(client, namespace="test")
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(store.channel)
        listener.get_message(timeout=1.0)
        store.exchange("upstream", Message("one", 1, failed=1), TERMS)
        opened(store)
        heard = None
        while heard is None:
            heard = listener.get_message(timeout=1.0)
        assert b'"name":"upstream"' in heard["data"]
        assert b'"open"' in heard["data"]
        assert None is listener.get_message(timeout=0.05)


def test_a_circuit_of_which_nothing_is_heard_is_forgotten(client):
    """Keys have a time to live."""
    RedisStore(client, namespace="test").exchange("upstream", Message("one", 1), TERMS)
    (key,) = client.keys("*")
    assert 3_590 < client.ttl(key) <= 3_600


def test_an_order_is_kept_until_it_ends(client):
    """What an operator isolated stays so though all workers are gone for a night; then it is as any other."""
    store = RedisStore(client, namespace="test")
    control = Control(store, actor="anna")
    lives = []
    for seconds in (None, 7_200, 60):
        control.isolate("upstream", reason="incident", for_seconds=seconds)
        lives.append(client.ttl(client.keys("*")[0]))
    control.release("upstream", reason="over")
    lives.append(client.ttl(client.keys("*")[0]))
    assert [-1, 7_200, 3_600, 3_600] == [pytest.approx(life, abs=5) for life in lives]


def test_a_circuit_that_cannot_be_read_is_as_good_as_none(client):
    """Somebody wrote the key by hand: this process judges for itself, and its reporter lives."""
    store = RedisStore(client, namespace="test")
    store.exchange("upstream", Message("one", 1), TERMS)
    client.set(client.keys("*")[0], '{"phase": 7}')
    with pytest.raises(StoreLost):
        store.exchange("upstream", Message("one", 1), TERMS)


def test_a_store_that_is_gone_is_told_at_once():
    """Refused, and frozen: within the client's patience, as one error."""
    with RedisServer() as server:
        client = Redis.from_url(server.url, socket_timeout=0.25, retry=Retry(NoBackoff(), 0))
        store = RedisStore(client, namespace="test")
        store.exchange("upstream", Message("one", 1), TERMS)
        for bring_down in (server.pause, server.kill):
            bring_down()
            with pytest.raises(StoreLost):
                store.exchange("upstream", Message("one", 1), TERMS)
        client.close()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WALKS)
def test_script_and_decision_are_twins(client, walk):
    """Over any walk, with any policy: the same circuit and the same reply, to the last number."""
    clock = "{ ARGV[6], ARGV[7] }"
    twin = client.register_script(SCRIPT.replace("redis.call('TIME')", clock))
    client.flushdb()
    circuit, now = Circuit(), START
    for policy in (BreakerPolicy(), LOCAL):
        terms = Terms.of(policy)
        for drawn, is_present, wait in walk:
            now += wait
            message = present(drawn, circuit, is_present=is_present)
            circuit, reply = exchange(circuit, message, now, terms)
            arguments = [as_json(message), as_json(terms), "c", 60_000, "n", now // 1000, now % 1000 * 1000]
            assert reply == reply_of_json(twin(keys=["k"], args=arguments))
            stored = client.get("k")
            assert circuit == circuit_of_json(stored)
