"""The strict JSON codec."""

import dataclasses
import enum
import math
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidJson, PayloadTooLarge

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


class Colour(enum.StrEnum):
    RED = "red"


class Login(BaseModel):
    user: str
    password: SecretStr


class Wrapper(BaseModel):
    logins: list[Login]


@dataclasses.dataclass
class Point:
    x: int
    at: datetime


@given(VALUES)
def test_what_goes_in_comes_out(value):
    """A plain value survives the trip through text unchanged."""
    assert value == codec.decode(codec.encode(value))


@given(st.dictionaries(TEXT, VALUES, min_size=2, max_size=5))
def test_equal_values_have_equal_canonical_text(value):
    """The order in which an object was built does not show in its canonical text."""
    assert codec.canonical(value) == codec.canonical(dict(reversed(value.items())))


def test_rich_values_are_written_as_pydantic_writes_them():
    """Datetime, UUID, Decimal, Enum and dataclasses have a JSON form."""
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    value = {"p": Point(1, at), "u": UUID(int=1), "d": Decimal("1.10"), "c": Colour.RED, "t": (1, 2)}
    assert {
        "p": {"x": 1, "at": "2026-11-23T12:00:00Z"},
        "u": "00000000-0000-0000-0000-000000000001",
        "d": "1.10",
        "c": "red",
        "t": [1, 2],
    } == codec.decode(codec.encode(value))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, math.nan]}, "$.a[1]"),
        ({"a": math.inf}, "$.a"),
        ({"a": {"b": "x\x00y"}}, "$.a.b"),
        ({"a": "\ud800"}, "$.a"),
        ({"a": {1: 2}}, "$.a"),
        ({"a": object()}, "$.a"),
        ({"a": {1, 2}}, "$.a"),
        ({"a": b"bytes"}, "$.a"),
        ({"a": SecretStr("x")}, "$.a"),
        ([Login(user="u", password=SecretStr("x"))], "$[0].password"),
        ({"a\x00": 1}, "$.<key>"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(value, path):
    """A value without a JSON form is refused, and the caller learns where it stands."""
    with pytest.raises(InvalidJson, match=path.replace("$", r"\$").replace("[", r"\[").replace(".", r"\.")):
        codec.encode(value)


def test_a_secret_deep_in_a_model_is_refused():
    """Pydantic would store asterisks without a word; we refuse the secret instead."""
    with pytest.raises(InvalidJson, match="secret"):
        codec.encode(Wrapper(logins=[Login(user="u", password=SecretStr("hunter2"))]))


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', "NaN", "[Infinity]", "{", '"\\ud800"', '"\\u0000"', "1e999", b"\xff\xfe", "[" * 2000],
)
def test_text_that_is_not_strict_json_is_refused(text):
    """Doubled keys, constants, surrogates, NUL, overflow, bad bytes and bottomless nesting do not get in."""
    with pytest.raises(InvalidJson):
        codec.decode(text)


def test_depth_is_bounded_both_ways():
    """64 levels pass and 65 do not, in and out."""
    deep: object = 1
    for _ in range(codec.DEEPEST):
        deep = [deep]
    assert deep == codec.decode(codec.encode(deep))
    with pytest.raises(InvalidJson, match="deeper"):
        codec.encode([deep])
    with pytest.raises(InvalidJson, match="deeper"):
        codec.decode("[" * 65 + "]" * 65)


def test_size_is_counted_in_bytes():
    """The limit is on UTF-8 bytes, not on characters."""
    assert codec.encode("é" * 10, largest_bytes=22)
    with pytest.raises(PayloadTooLarge, match="22 bytes, at most 21"):
        codec.encode("é" * 10, largest_bytes=21)
    with pytest.raises(PayloadTooLarge):
        codec.decode(b'"' + b"x" * 100 + b'"', largest_bytes=50)
