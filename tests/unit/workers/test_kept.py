"""What is kept of a message is what is needed to send it again."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from kombu.exceptions import DecodeError

from holdfast.workers.kept import Envelope, envelope_from, kept_of, raw_of, said_of


def a_message(**parts):
    """What kombu hands over."""
    defaults = {
        "body": b"[[], {}, null]", "headers": {"task": "t", "id": "a"}, "properties": {"priority": 3},
        "content_type": "application/json", "content_encoding": "utf-8", "errors": [],
    }  # fmt: skip
    return SimpleNamespace(**{**defaults, **parts})


def test_there_and_back():
    """Body, headers, content type and the sender's properties come back as they were."""
    kept = kept_of(a_message(properties={"priority": 3, "correlation_id": "a", "delivery_tag": "secret"}))
    assert b"[[], {}, null]" == kept.raw
    headers, properties = {"task": "t", "id": "a"}, {"priority": 3, "correlation_id": "a"}
    assert Envelope("application/json", "utf-8", headers, properties) == envelope_from(kept.envelope)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**70,
        1.5,
        "\0\ud800",
        [1, {"a": None}],
        b"\xff",
        datetime(2026, 1, 2, tzinfo=UTC),
        Decimal(7),
    ],
)
def test_any_header_of_redis_or_rabbitmq(value):
    """RabbitMQ's tables hold bytes, times and decimals; they come back as such."""
    kept = kept_of(a_message(headers={"strange": value}))
    assert {"strange": value} == envelope_from(kept.envelope).headers


def test_what_a_broker_adds_makes_no_other_message():
    """Delivered again, a message has other headers, and is still the same one."""
    again = a_message(headers={"task": "t", "id": "a", "redelivered": True, "x-delivery-count": 3})
    assert kept_of(a_message()) == kept_of(again)


@pytest.mark.parametrize(("errors", "is_named"), [([], False), (["bad"], True)])
def test_a_body_that_was_decompressed_is_in_clear(errors, is_named):
    """Its compression is named only where the bytes are still compressed."""
    kept = kept_of(a_message(headers={"compression": "gzip"}, errors=errors))
    assert is_named == ("compression" in envelope_from(kept.envelope).headers)


def nested(depth):
    """A list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "parts",
    [{"headers": {"a": object()}}, {"headers": [1]}, {"headers": {"a": nested(5000)}}, {"properties": 7}],
)
def test_an_envelope_that_cannot_be_written_costs_no_message(parts):
    """The body is kept, and that there was an envelope."""
    kept = kept_of(a_message(**parts))
    assert (b"[[], {}, null]", "") == (kept.raw, kept.envelope)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"headers": 1}', "[" * 5000])
def test_an_envelope_that_is_none(text):
    """A row that somebody wrote by hand is not replayed."""
    assert None is envelope_from(text)


@pytest.mark.parametrize(
    ("body", "raw"),
    [(b"\xff", b"\xff"), (memoryview(b"x"), b"x"), ("ä", "ä".encode()), ([1], b"[1]"), (None, b"")],
)
def test_the_raw_bytes_of_any_body(body, raw):
    """As they came, where they came as bytes."""
    assert raw == raw_of(SimpleNamespace(body=body))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda error: error,
        DecodeError,
        lambda error: ValueError("bad", error),
        lambda error: ValueError(error.object),
    ],
)
def test_what_is_wrong_is_said_without_the_bytes(wrap):
    """Only who asks for the raw message sees what is in it; type, place and reason are for everyone."""
    with pytest.raises(UnicodeDecodeError) as caught:
        b'\xff{"card": "4111-1111"}'.decode()
    said = said_of(wrap(caught.value))
    assert "4111" not in said
    assert type(wrap(caught.value)).__name__ in said
    assert ("22 bytes" if said.startswith("ValueError: 22") else "position 0") in said
