"""What we lean on in kombu: its hub, and its Redis transport.

Each docstring says what breaks with a change.
"""

import base64
import json
import os
import queue
import threading

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.transport import TRANSPORT_ALIASES, get_transport_cls, virtual
from kombu.transport import redis as stock

from holdfast import celeryconfig
from holdfast.tests.support.waiting import until
from holdfast.workers.hub import HubLink
from holdfast.workers.redis_channel import Channel, RingQoS, Transport

WORK = Queue("work", Exchange(""), routing_key="work")


# The hub.


@pytest.fixture
def turning(hub):
    """A hub that turns on a thread, with nothing to do: each poll would take a second."""
    reader, writer = os.pipe()
    hub.add_reader(reader, lambda: None)
    stopping = threading.Event()

    def turn():
        while not stopping.is_set():
            hub.run_once()

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    yield hub
    stopping.set()
    hub.call_soon(lambda: None)
    thread.join(5)
    hub.remove(reader)
    os.close(reader)
    os.close(writer)


def test_call_soon_wakes_a_sleeping_hub_from_any_thread(turning):
    """If it did not wake, every acknowledgement and every free slot would wait for up to a second."""
    for _ in range(5):
        called = threading.Event()
        turning.call_soon(called.set)
        assert called.wait(0.5)


def test_call_soon_may_be_called_by_many_threads_at_once(turning):
    """Acknowledgements come from the event loop, the side threads and the intake."""
    done = queue.SimpleQueue()
    link = HubLink()
    link.attach(turning)

    def post():
        for _ in range(200):
            link.post(lambda: done.put(threading.get_ident()))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: done.qsize() == 800, what="all callbacks")
    assert 1 == len({done.get() for _ in range(800)}), "all on the hub's thread"


def test_a_hub_forgets_the_rest_of_a_turn_in_which_one_callback_failed(hub):
    """Why `HubLink.attach` asks anew. If the hub keeps them one day, asking twice does no harm."""
    done = []

    def fail():
        raise ConnectionResetError("the broker is gone")

    for number in range(50):
        hub.call_soon(lambda number=number: done.append(number))
    hub.call_soon(fail)
    with pytest.raises(ConnectionResetError):
        hub.run_once()
    hub.reset()
    assert len(done) <= 50
    assert set() == hub._ready  # noqa: SLF001 -- the internal that this contract is about


def test_a_reset_hub_still_turns(hub):
    """A reconnect resets the hub that our pool was given, and gives it again."""
    hub.reset()
    called = []
    hub.call_soon(lambda: called.append(True))
    hub.run_once()
    assert [True] == called


# The scheme.


def test_our_scheme_leads_to_our_transport():
    """If TRANSPORT_ALIASES is no longer the way from a scheme to a class.

    Workers read rings with the stock transport: one bad message ends them, and a broker that goes away
    does, too.
    """
    assert "holdfast.workers.redis_channel:Transport" == TRANSPORT_ALIASES[celeryconfig.READING_SCHEME]
    assert Transport is get_transport_cls(celeryconfig.READING_SCHEME)
    connection = Connection(f"{celeryconfig.READING_SCHEME}://:secret@127.0.0.1:1/3")
    assert Transport is connection.get_transport_cls()
    assert ("127.0.0.1", 1, "secret", "3") == (
        connection.hostname, connection.port, connection.password, connection.virtual_host,
    )  # fmt: skip


def test_the_stock_scheme_keeps_the_stock_transport():
    """Other Celery apps in the process, the doorbell and the intake are not touched."""
    assert stock.Transport is Connection("redis://127.0.0.1:1/0").get_transport_cls()


# The Redis transport.


@pytest.fixture
def connection(redis_url):
    """A connection of our transport."""
    with Connection(f"{celeryconfig.READING_SCHEME}://{redis_url.partition('://')[2]}") as made:
        yield made


class Reading:
    """A consumer of one queue, and what it got."""

    def __init__(self, connection):
        self.connection, self.channel, self.got = connection, connection.channel(), []
        self.consumer = Consumer(self.channel, [WORK], on_message=self.got.append, accept=["json"])
        self.consumer.qos(prefetch_count=10)
        self.consumer.consume()

    def drain(self, timeout_seconds=0.5):
        """Read until nothing comes any more for a while."""
        try:
            while True:
                self.connection.drain_events(timeout=timeout_seconds)
        except TimeoutError:
            return self.got

    def next(self):
        """Read one message."""
        before = len(self.got)
        while len(self.got) == before:
            self.connection.drain_events(timeout=5)
        return self.got[-1]


@pytest.fixture
def reading(connection):
    """A consumer of ours."""
    return Reading(connection)


def publish(redis_url, *bodies, priority=0):
    """Send as any producer does."""
    with Connection(redis_url) as producer:
        channel = producer.channel()
        for body in bodies:
            Producer(channel).publish(
                body, routing_key="work", declare=[WORK], priority=priority, serializer="json"
            )


def _body(raw):
    return json.loads(base64.b64decode(json.loads(raw)["body"]))


def test_our_classes_are_used(reading):
    """`Transport.Channel`, `Channel.QoS` and `handlers["BRPOP"]` are the seams.

    Without them the stock code reads, and writes each message into an unacked set that nobody restores.
    """
    assert isinstance(reading.channel, Channel)
    assert isinstance(reading.channel.qos, RingQoS)
    assert Channel._brpop_read is reading.channel.handlers["BRPOP"].__func__  # noqa: SLF001 -- the internal that this contract is about


def test_a_message_arrives_and_leaves_nothing_in_redis(reading, redis_server, redis_url):
    """`append` and `ack` of our QoS keep it in memory.

    The stock ones would write two keys for each message.
    """
    publish(redis_url, {"a": 1})
    message = reading.next()
    assert {"a": 1} == message.payload
    with redis_server.client() as client:
        assert not client.exists("unacked", "unacked_index")
    assert [message.delivery_tag] == list(reading.channel.qos._delivered)  # noqa: SLF001 -- the internal that this contract is about
    message.ack()
    assert 0 == len(reading.channel.qos._delivered) - len(reading.channel.qos._dirty)  # noqa: SLF001 -- the internal that this contract is about


def test_the_state_of_a_pop_is_what_we_reset(reading, redis_url):
    """`_in_poll`, `_flush_brpop_reauth`.

    `_queue_cycle` and `sep` are what the stock `_brpop_read` handles besides the message; if one is
    renamed, the consumer stops popping after the first message.
    """
    publish(redis_url, 1, 2, 3)
    assert [1, 2, 3] == [message.payload for message in reading.drain()]
    assert None is not stock.Channel.sep
    assert callable(reading.channel._flush_brpop_reauth)  # noqa: SLF001 -- the internal that this contract is about
    assert callable(reading.channel._queue_cycle.rotate)  # noqa: SLF001 -- the internal that this contract is about
    names = stock.Channel._brpop_read.__code__.co_names  # noqa: SLF001 -- the internal that this contract is about
    assert {"_in_poll", "_flush_brpop_reauth", "_queue_cycle", "sep", "_deliver", "parse_response"} <= set(
        names
    )
    assert len(names) == len(set(names)) == 15, f"the stock method does something new: {names}"


def test_a_priority_is_a_suffix_of_the_key(reading, redis_url):
    """`sep` parts queue and priority.

    If it changes, rings of some priorities are delivered to a queue of no name.
    """
    publish(redis_url, "urgent", priority=9)
    assert "urgent" == reading.next().payload
    assert "work" == reading.got[0].delivery_info["routing_key"]


def test_the_poller_asks_before_each_pop(reading, redis_server, redis_url):
    """`can_consume` is asked before a BRPOP.

    A full worker leaves rings in the broker (B29), and pops when told.
    """
    room = threading.Event()
    reading.channel.qos.has_room = room.is_set
    reading.drain(0.1)
    publish(redis_url, 1, 2)
    # A pop that was under way before the answer changed may still bring one message.
    popped = len(reading.drain(0.3))
    assert popped <= 1
    with redis_server.client() as client:
        assert 2 - popped == client.llen("work")
    room.set()
    until(lambda: len(reading.drain(0.1)) == 2, what="the rest")


def test_a_rejected_message_is_pushed_back(reading, redis_server, redis_url):
    """`virtual.Channel._restore` puts a message back: a drain gives its rings to others at once."""
    publish(redis_url, "again")
    message = reading.next()
    reading.consumer.cancel()
    message.reject(requeue=True)
    with redis_server.client() as client:
        until(lambda: client.llen("work") == 1, what="the ring to be back")
        assert "again" == _body(client.lindex("work", 0))


def test_garbage_goes_to_the_quarantine_and_the_next_message_is_read(
    reading, redis_server, redis_url, monkeypatch
):
    """The real server and the real hub: our reader keeps the raw bytes, and the channel goes on."""
    kept = []
    monkeypatch.setattr(Channel, "on_unreadable", lambda *parts: kept.append(parts[:2]))
    with redis_server.client() as client:
        client.lpush("work", b"\xff garbage")
        client.lpush("work", b"[1]")
    publish(redis_url, "good")
    assert "good" == reading.next().payload
    assert [("work", b"\xff garbage"), ("work", b"[1]")] == kept


def test_a_close_restores_nothing(reading, redis_server, redis_url):
    """`restore_unacked`.

    `restore_visible` and `restore_at_shutdown` are what the stock class acts by at a close; through a
    connection that is gone it ends the process. The stager rings again.
    """
    publish(redis_url, 1)
    reading.next()
    assert not RingQoS.restore_at_shutdown
    for name in ("append", "ack", "reject", "restore_unacked", "restore_visible", "can_consume"):
        assert callable(getattr(stock.QoS, name)), name
    assert issubclass(stock.QoS, virtual.QoS)
    reading.channel.close()
    with redis_server.client() as client:
        assert not client.exists("work", "unacked", "unacked_index")


def test_lost_connections_have_a_list_and_a_key_error_is_on_it(connection):
    """`connection_errors` decides what reconnects.

    KeyError on it is why nothing of a message may leave as one.
    """
    assert KeyError in connection.connection_errors
    assert ConnectionResetError in {*connection.connection_errors} or OSError in connection.connection_errors
