"""Our Redis channel: no envelope, whatever its bytes, leaves it as an exception."""

import base64
import json

import pytest
from kombu.utils.json import loads

from holdfast.workers.redis_channel import Channel, RingQoS, _check_envelope

BODY = base64.b64encode(
    b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
).decode()


def an_envelope(**changes):
    """What a producer pushes; a value of `...` leaves the key out."""
    envelope = {
        "body": BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "sample.echo", "id": "a"},
        "properties": {
            "correlation_id": "a", "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "t",
        },
    }  # fmt: skip
    properties = {**envelope["properties"], **changes.pop("in_properties", {})}
    envelope["properties"] = {name: value for name, value in properties.items() if value is not ...}
    envelope |= changes
    return {name: value for name, value in envelope.items() if value is not ...}


GOOD = [
    an_envelope(),
    an_envelope(headers={}),
    an_envelope(headers=...),
    an_envelope(headers=None),
    an_envelope(body=...),
    an_envelope(in_properties={"body_encoding": ...}),
    an_envelope(in_properties={"body_encoding": None}),
    an_envelope(in_properties={"priority": ...}),
]

BAD = [
    7,
    None,
    "text",
    True,
    [],
    [an_envelope()],
    {},
    an_envelope(properties=...),
    an_envelope(properties=None),
    an_envelope(properties=[]),
    an_envelope(properties="x"),
    an_envelope(in_properties={"delivery_tag": ...}),
    an_envelope(in_properties={"delivery_tag": 7}),
    an_envelope(in_properties={"delivery_tag": None}),
    an_envelope(in_properties={"delivery_tag": ["t"]}),
    an_envelope(in_properties={"delivery_info": ...}),
    an_envelope(in_properties={"delivery_info": None}),
    an_envelope(in_properties={"delivery_info": "q"}),
    an_envelope(in_properties={"delivery_info": []}),
    an_envelope(headers=["task"]),
    an_envelope(headers="task"),
    an_envelope(headers=7),
    an_envelope(body=7),
    an_envelope(body={"a": 1}),
    an_envelope(body=[[], {}, None]),
    an_envelope(in_properties={"body_encoding": "rot13"}),
    an_envelope(in_properties={"body_encoding": 7}),
]


@pytest.mark.parametrize("envelope", GOOD, ids=str)
def test_what_kombu_can_read_passes(envelope):
    """Legal shapes, the optional keys left out among them."""
    _check_envelope(envelope)


@pytest.mark.parametrize("envelope", BAD, ids=lambda value: str(value)[:60])
def test_what_kombu_would_trip_over_is_refused(envelope):
    """Each shape that is read without a look outside of anything that catches."""
    with pytest.raises((TypeError, KeyError, ValueError)):
        _check_envelope(envelope)


class Carrier:
    """Stands for the connection of a channel: takes what is delivered."""

    def __init__(self):
        self.delivered, self.error = [], None

    def _deliver(self, message, queue):
        if self.error:
            raise self.error
        self.delivered.append((message, queue))


class Client:
    """Stands for the Redis client: has one reply."""

    connection = None

    def __init__(self, reply):
        self.reply = reply

    def parse_response(self, connection, command, **options):
        return self.reply


class Cycle:
    def rotate(self, queue):
        self.last = queue


@pytest.fixture
def channel(monkeypatch):
    """A channel of ours without a server: only `_brpop_read` is of interest."""
    made = object.__new__(Channel)
    made.connection = Carrier()
    made._queue_cycle = Cycle()
    made._in_poll = True
    made._qos = RingQoS(made, prefetch_count=1)
    made._flush_brpop_reauth = lambda: None
    made.connection_errors = (OSError,)
    # So that the class's own end, which needs a server, is not reached for.
    monkeypatch.setattr(Channel, "__del__", lambda _: None, raising=False)
    unreadable = []
    monkeypatch.setattr(Channel, "on_unreadable", lambda *parts: unreadable.append(parts))
    made.unreadable = unreadable

    def read(item, key=b"q"):
        made.__dict__["client"] = Client((key, item))
        return made._brpop_read()

    made.read = read
    return made


def test_a_message_is_delivered_to_its_queue(channel):
    """Also from a key with a priority's suffix."""
    text = json.dumps(an_envelope()).encode()
    assert channel.read(text)
    assert channel.read(text, b"q\x06\x163")
    assert ["q", "q"] == [queue for _, queue in channel.connection.delivered]
    assert (loads(text.decode())["body"], None, []) == (
        channel.connection.delivered[0][0]["body"], channel._in_poll, channel.unreadable,  # noqa: SLF001 -- what cannot be seen from outside
    )  # fmt: skip


GARBAGE = [
    b"", b"no json", b"{", b"\xff\xfe\x00", b"7", b"null", b"[]", b"{}", b"[" * 100_000,
    b'{"properties": {}}',
    b'"\\ud800"', *(json.dumps(one).encode() for one in BAD),
]  # fmt: skip


@pytest.mark.parametrize("raw", GARBAGE, ids=lambda value: str(value)[:40])
def test_garbage_is_handed_over_raw(channel, raw):
    """Byte for byte, with its queue and the error, and the channel goes on."""
    assert channel.read(raw)
    ((queue, item, error),) = channel.unreadable
    assert ("q", raw) == (queue, item)
    assert isinstance(error, Exception)
    assert (None, []) == (channel._in_poll, channel.connection.delivered)  # noqa: SLF001 -- what cannot be seen from outside


def test_a_text_reply_is_handed_over_as_bytes(channel):
    """A client that decodes changes nothing."""
    channel.read("ungültig", "q")
    assert "ungültig".encode() == channel.unreadable[0][1]


@pytest.mark.parametrize(
    "error", [KeyError("id"), ValueError("base64"), TypeError("scalar"), RecursionError()]
)
def test_what_delivery_trips_over_is_put_aside(channel, error):
    """A KeyError among them: kombu counts it among the lost connections, and would reconnect for ever."""
    channel.connection.error = error
    channel.read(json.dumps(an_envelope()).encode())
    assert [error] == [parts[2] for parts in channel.unreadable]


def test_what_delivery_trips_over_leaves_the_window(channel):
    """A message is held its consumer sees it: a few would end all deliveries."""

    def hold_and_trip(message, queue):
        channel.qos.append(message, message["properties"]["delivery_tag"])
        raise ValueError("a consumer without an ear for errors")

    channel.connection._deliver = hold_and_trip  # noqa: SLF001 -- kombu's name
    channel.read(json.dumps(an_envelope()).encode())
    assert channel.qos.can_consume()
    assert 1 == len(channel.unreadable)


@pytest.mark.parametrize(
    "written", [{}, {"exchange": "x", "routing_key": ["y"]}, {"routing_key": "elsewhere"}]
)
def test_a_message_says_where_it_was(channel, written):
    """Whatever its sender wrote: it is put back there, and the quarantine shows it."""
    channel.read(json.dumps(an_envelope(in_properties={"delivery_info": written}, headers=None)).encode())
    ((message, _),) = channel.connection.delivered
    assert ({}, {"exchange": "", "routing_key": "q"}) == (
        message["headers"], message["properties"]["delivery_info"],
    )  # fmt: skip


def test_a_lost_connection_is_no_bad_message(channel):
    """It leaves as what it is, so that the consumer connects anew."""
    channel.connection.error = ConnectionResetError("gone")
    with pytest.raises(ConnectionResetError):
        channel.read(json.dumps(an_envelope()).encode())
    assert [] == channel.unreadable


class FakeChannel:
    """Enough of a channel for a QoS."""

    def __init__(self):
        self.restored = []

    def _restore(self, message):
        raise AssertionError("the stock Redis way reads a hash that is not written")


@pytest.fixture
def qos(monkeypatch):
    """A window of two messages, and what was pushed back."""
    made = RingQoS(FakeChannel(), prefetch_count=2)
    made.pushed = []
    monkeypatch.setattr(
        "kombu.transport.virtual.Channel._restore", lambda _, message: made.pushed.append(message)
    )
    return made


def test_the_window_is_kept_in_memory(qos):
    """Two messages fill it; an acknowledgement makes room; nothing is asked of Redis."""
    for tag in ("a", "b"):
        assert qos.can_consume()
        qos.append(f"message {tag}", tag)
    assert not qos.can_consume()
    qos.ack("a")
    assert qos.can_consume()


def test_the_worker_decides_besides_the_window(qos):
    """No free slot, no ring (B29)."""
    qos.has_room = lambda: False
    assert not qos.can_consume()


@pytest.mark.parametrize("requeue", [True, False])
def test_a_rejected_message_goes_back_if_asked(qos, requeue):
    """And leaves the window in both cases; an unknown tag harms nobody."""
    qos.append("message", "a")
    qos.reject("a", requeue=requeue)
    qos.reject("unknown", requeue=True)
    assert (["message"] if requeue else []) == qos.pushed
    qos.append("other", "b")
    qos.append("another", "c")
    assert not qos.can_consume()


def test_a_lost_connection_is_forgotten_without_a_word_to_it(qos):
    """The stock class would use the connection that is gone, and end the process."""
    qos.append("message", "a")
    qos.restore_unacked()
    qos.restore_visible(start=0, num=10)
    qos.restore_unacked_once()
    assert [] == qos.pushed
    assert qos.can_consume()
