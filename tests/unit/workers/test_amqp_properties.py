"""Properties that cannot be read are told of, and end nothing."""

from struct import pack

import amqp
import pytest
from amqp import serialization
from amqp.spec import Basic

from holdfast.workers.amqp_properties import UNREADABLE, guard_properties, read_properties


def written(**properties):
    """Properties as they come over the wire."""
    return amqp.Message(b"", **properties)._serialize_properties()  # noqa: SLF001 -- py-amqp's own writer


def header(kind: bytes, value: bytes) -> bytes:
    """A table of one header, with the flag that says that there is one."""
    entry = b"\x01a" + kind + value
    return pack(">HI", 0x2000, len(entry)) + entry


def test_good_properties_are_read_as_ever():
    """Nothing is lost, and nothing is added."""
    properties = {"content_type": "application/json", "application_headers": {"task": "t"}, "priority": 3}
    assert properties == read_properties(written(**properties), 0)[0]


BAD = {
    "a content type that is no UTF-8": written(content_type=b"\xff\xfe"),
    "a correlation id that is no UTF-8": written(correlation_id=b"\xff"),
    "a time beyond the calendar": header(b"T", pack(">Q", 2**63)),
    "a type that does not exist": header(b"?", b""),
    "a table that is cut": header(b"S", pack(">I", 5))[:-2],
    "arrays without end": header(b"A", b"".join(pack(">I", 60_000 - 5 * n) + b"A" for n in range(12_000))),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_properties_stand_as_one_header(name):
    """The message has neither task nor id then, so it is quarantined."""
    properties, _ = read_properties(BAD[name], 0)
    assert [UNREADABLE] == list(properties["application_headers"])


def test_py_amqp_asks_us(monkeypatch):
    """If its frame reader no longer looked the reader up, such a message would end the connection."""
    monkeypatch.setattr(serialization, "PROPERTY_CLASSES", dict(serialization.PROPERTY_CLASSES))
    guard_properties()
    message = amqp.Message()
    head = pack(">HxxQ", Basic.CLASS_ID, 0)
    message.inbound_header(head + BAD["a time beyond the calendar"])
    assert [UNREADABLE] == list(message.application_headers)
