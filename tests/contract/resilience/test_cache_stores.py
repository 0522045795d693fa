"""One suite over every store of answers, and what a store in Redis does with what is not an answer."""

from collections.abc import Iterator

import pytest
from redis import Redis

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.resilience.breaker.store import StoreLost, store_client
from holdfast.resilience.cache.store import CacheStore, MemoryCacheStore, RedisCacheStore
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

KEY = "test:cache:{answers}:key"


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """A client as the platform makes it."""
    opened = store_client(redis_url)
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "redis"])
def store(request) -> CacheStore:
    """Each store there is, empty."""
    if request.param == "memory":
        return MemoryCacheStore(SystemClock())
    return RedisCacheStore(request.getfixturevalue("client"), namespace="test")


def text_in(store: CacheStore, cache: str = "answers", key: str = "key") -> bytes | None:
    """Give the answer that counts."""
    kept = store.find(cache, key).kept
    return None if kept is None else kept.text


def keep(store: CacheStore, text: bytes = b"1", *, era: str = "", seconds: float = 60) -> None:
    """Keep an answer."""
    store.keep("answers", "key", text, era=era, seconds=seconds)


def test_an_answer_is_found_with_its_age(store):
    """The bytes are those that were given, and the age begins when they were."""
    keep(store, b'{"a":"b c"}')
    kept = store.find("answers", "key").kept
    assert b'{"a":"b c"}' == kept.text
    assert 0 <= kept.age_seconds < 10
    until(lambda: store.find("answers", "key").kept.age_seconds > kept.age_seconds, what="it grows older")


def test_an_answer_is_gone_when_its_time_is_over(store):
    """Nobody has to remove it."""
    keep(store, seconds=0.05)
    until(lambda: text_in(store) is None, what="the answer is gone")


def test_caches_and_keys_do_not_see_each_other(store):
    """The same key in another cache is another answer."""
    keep(store)
    assert (None, None) == (text_in(store, cache="other"), text_in(store, key="other"))


def test_a_removed_answer_is_gone(store):
    """Removing twice is as good as once."""
    keep(store)
    store.remove("answers", "key")
    store.remove("answers", "key")
    assert None is text_in(store)


def test_a_new_era_ends_all_answers_also_those_that_come_late(store):
    """What began before it was invalidated does not count, whenever it is written."""
    keep(store, b"1", era=store.find("answers", "key").era)
    late = store.find("answers", "key").era
    store.begin_era("answers", seconds=60)
    assert None is text_in(store)
    keep(store, b"2", era=late)
    assert None is text_in(store)
    keep(store, b"3", era=store.find("answers", "key").era)
    assert b"3" == text_in(store)


def test_one_of_many_has_the_lease(store):
    """The second waits until it is given back; who lost it gives nothing back."""
    token = store.take("answers", "key", seconds=60)
    assert token
    assert None is store.take("answers", "key", seconds=60)
    store.give_back("answers", "key", "somebody else's")
    assert None is store.take("answers", "key", seconds=60)
    store.give_back("answers", "key", token)
    assert store.take("answers", "key", seconds=60)


def test_a_lease_may_end_a_little_later(store):
    """After a failure nobody tries for a moment."""
    token = store.take("answers", "key", seconds=60)
    store.give_back("answers", "key", token, after_seconds=0.2)
    assert None is store.take("answers", "key", seconds=60)
    until(lambda: store.take("answers", "key", seconds=60), what="the lease ends")


def test_a_dead_holder_loses_its_lease(store):
    """Its time ends by itself."""
    store.take("answers", "key", seconds=0.05)
    until(lambda: store.take("answers", "key", seconds=60), what="the lease ends")


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"no answer of ours",
        b"60000  not json",
        b"60000  NaN",
        b'60000  {"a":1,"a":2}',
        b"60000  \xff\xfe",
        b"-5  1",
        b"9" * 5000 + b"  1",
        b"60000 another-era 1",
        b"60000  " + b"[" * 100_000,
        b'60000  "' + b"x" * (10 * LARGEST_BYTES) + b'"',
    ],
    ids=lambda poison: f"{poison[:20]!r}",
)
def test_what_is_not_an_answer_is_as_good_as_none_and_is_overwritten(client, poison):
    """Whatever bytes stand in Redis, who asks finds nothing, and keeps a new one in its place."""
    store = RedisCacheStore(client, namespace="test")
    client.set(KEY, poison, px=60_000)
    assert None is text_in(store)
    keep(store)
    assert b"1" == text_in(store)


def test_a_key_of_another_type_or_without_an_end_is_no_answer(client):
    """A list is not one, nor is a text that would stay for ever."""
    store = RedisCacheStore(client, namespace="test")
    client.rpush(KEY, "a")
    assert None is text_in(store)
    client.delete(KEY)
    client.set(KEY, b"60000  1")
    assert None is text_in(store)


def test_an_age_that_cannot_be_is_no_answer(client):
    """A key that lives longer than it was made to has been touched by somebody."""
    store = RedisCacheStore(client, namespace="test")
    client.set(KEY, b"1000  1", px=60_000)
    assert None is text_in(store)


def test_a_lease_without_an_end_holds_nobody_up(client):
    """It was written by hand, and nobody will ever give it back."""
    store = RedisCacheStore(client, namespace="test")
    client.rpush(f"{KEY}:lease", "a")
    assert store.take("answers", "key", seconds=60)
    store.give_back("answers", "key", "token")


def test_of_a_huge_text_no_more_is_read_than_an_answer_may_be_long(client):
    """Ten megabytes by hand do not come into each worker's memory."""
    store = RedisCacheStore(client, namespace="test")
    client.set(KEY, b"x" * (10 * LARGEST_BYTES), px=60_000)
    before = client.info("stats")["total_net_output_bytes"]
    store.find("answers", "key")
    assert client.info("stats")["total_net_output_bytes"] - before < 2 * LARGEST_BYTES


def test_every_verb_says_that_the_store_is_lost():
    """A server that is frozen, and one that is not there, raise the same."""
    with RedisServer() as server:
        client = store_client(server.url)
        store = RedisCacheStore(client, namespace="test")
        server.pause()
        _all_verbs_are_lost(store)
        server.resume()
        server.kill()
        _all_verbs_are_lost(store)
        client.close()


def _all_verbs_are_lost(store: CacheStore) -> None:
    for verb in (
        lambda: store.find("answers", "key"),
        lambda: keep(store),
        lambda: store.remove("answers", "key"),
        lambda: store.begin_era("answers", seconds=1),
        lambda: store.take("answers", "key", seconds=1),
        lambda: store.give_back("answers", "key", "token"),
    ):
        with pytest.raises(StoreLost):
            verb()


def test_a_server_that_takes_no_writes_is_lost_for_writing():
    """A full one, for instance: not an answer of another type, so it is said."""
    with RedisServer(options=("--maxmemory", "1")) as server:
        client = store_client(server.url)
        store = RedisCacheStore(client, namespace="test")
        with pytest.raises(StoreLost):
            keep(store)
        with pytest.raises(StoreLost):
            store.take("answers", "key", seconds=1)
        assert None is text_in(store)
        client.close()
