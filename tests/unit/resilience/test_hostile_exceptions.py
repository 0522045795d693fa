"""Exceptions that do what they like: no judgement raises, and what can be read is read."""

from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.errors import RateLimited
from holdfast.resilience.faults import Fault, Judgement, judge

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NAMES = (
    "status_code", "status", "response", "headers", "code", "type", "body", "error_code", "sqlstate", "orig",
    "retry_after", "retry_after_seconds", "connection_invalidated",
)  # fmt: skip


class Raises:
    """Raises at every attribute."""

    def __init__(self, error):
        self._error = error

    def __get__(self, instance, owner):
        raise self._error


class EvilText(str):
    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("no hash")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    def __len__(self):
        raise RuntimeError("no length")

    def strip(self, _chars=None):
        raise RuntimeError("no strip")


class EvilNumber(int):
    def __le__(self, other):
        raise RuntimeError("no order")

    __lt__ = __ge__ = __gt__ = __le__


class Liar:
    @property
    def __class__(self):
        raise RuntimeError("no class")


class AllRaise(Exception):
    def __getattribute__(self, name):
        raise SystemExit(name)


class EvilMeta(type):
    def __getattribute__(cls, name):
        raise RuntimeError(name)


class OfAnEvilClass(Exception, metaclass=EvilMeta):
    pass


def carrying(value):
    """Make an exception with the value wherever one may be looked for."""
    error = RateLimitError("x")
    vars(error).update(dict.fromkeys(NAMES, value))
    return error


RateLimitError = type(
    "RateLimitError", (Exception,), {"__module__": "openai", "__qualname__": "RateLimitError"}
)


# By name, as pytest looks at its parameters more closely than these allow.
HIDING = {
    "attributes": lambda: AllRaise("x"),
    "metaclass": lambda: OfAnEvilClass("x"),
    "argument": lambda: Exception(Liar()),
}
STRANGE = {
    "text": lambda: EvilText("429"),
    "number": lambda: EvilNumber(429),
    "liar": Liar,
    "long": lambda: "x" * 10_240,
    "huge": lambda: 10**400,
    "mock": Mock,
    "magic": MagicMock,
    "object": object,
    "mapping": dict,
    "list": list,
    "class": lambda: type,
}


@pytest.mark.parametrize("how", HIDING)
def test_an_exception_that_hides_everything_is_unknown(how):
    """Who cannot be asked has said nothing."""
    assert Judgement(Fault.UNKNOWN) == judge(HIDING[how](), now=NOW)


@pytest.mark.parametrize(
    "fault", [ValueError("x"), AttributeError("x"), KeyboardInterrupt(), RecursionError()]
)
def test_a_property_that_raises_hides_only_itself(fault):
    """The class is known, and the status on the response is still found."""
    members = dict.fromkeys(set(NAMES) - {"response"}, Raises(fault))
    kind = type("Ours", (RateLimitError,), {**members, "__module__": "ours"})
    error = kind("x")
    assert Judgement(Fault.PUSHBACK) == judge(error, now=NOW)
    error.response = SimpleNamespace(status_code=503, headers={"Retry-After": "3"})
    assert Judgement(Fault.PUSHBACK, 3.0, 503) == judge(error, now=NOW)


@pytest.mark.parametrize(
    ("status", "read"),
    [
        ("429", 429), (429, 429), ("429 Too Many Requests", None), ("4" * 10_240, None), (10**400, None),
        (-429, None), (99, None), (600, None), (429.0, None), (True, None), (b"429", None), ([], None),
    ],
)  # fmt: skip
def test_a_status_is_a_number_of_three_digits_or_nothing(status, read):
    """A status as text counts; what is too long, out of range or strange is no status."""
    error = Exception("x")
    error.status_code = status
    judgement = judge(error, now=NOW)
    assert (Fault.PUSHBACK if read else Fault.UNKNOWN) is judgement.fault
    assert read == judgement.status


@pytest.mark.parametrize("how", STRANGE)
def test_strange_values_everywhere_change_nothing(how):
    """A known class keeps its fault, whatever its attributes hold and whatever those do when looked at."""
    assert Fault.PUSHBACK is judge(carrying(STRANGE[how]()), now=NOW).fault


def test_causes_may_go_round_in_circles():
    """A chain is followed a few steps, not to its end."""
    first, second = RateLimitError("x"), RateLimitError("y")
    first.__cause__, second.__cause__ = second, first
    assert Judgement(Fault.PUSHBACK) == judge(first, now=NOW)
    second.headers = {"Retry-After": "5"}
    assert Judgement(Fault.PUSHBACK, 5.0) == judge(first, now=NOW)


def test_an_attribute_may_be_the_exception_itself():
    """Looking for a path in a circle ends with the path."""
    error = carrying(None)
    error.response = error.body = error.orig = error
    assert Judgement(Fault.PUSHBACK) == judge(error, now=NOW)


def test_our_own_error_may_carry_nonsense():
    """A wait that is no number is no statement."""
    assert Judgement(Fault.TRANSIENT) == judge(RateLimited(retry_after_seconds=EvilNumber(3)), now=NOW)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
)


@given(attributes=st.dictionaries(st.sampled_from(NAMES), ANYTHING))
@pytest.mark.parametrize("kind", [Exception, RateLimitError], ids=["stranger", "known"])
def test_no_attribute_makes_the_judgement_raise(kind, attributes):
    """Every exception gets a fault, and every wait is within a day."""
    error = kind("x")
    vars(error).update(attributes)
    judgement = judge(error, now=NOW)
    assert judgement.retry_after_seconds is None or 0 <= judgement.retry_after_seconds <= 86_400
