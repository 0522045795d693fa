"""Arguments are checked with the handler's types before anything is written, and come back the same."""

import dataclasses
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import pydantic
import pytest

from holdfast.jobs.errors import InvalidArguments, InvalidTask
from holdfast.tasks.arguments import Arguments
from holdfast.tasks.task import read_spec

T = TypeVar("T")


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]
    next_page: int | None = pydantic.Field(default=None, alias="nextPage")


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


def arguments_of(handler) -> Arguments:
    """Read the arguments of a handler."""
    return read_spec(handler, name="shop.order").signature


VALUES = [
    (int, 3),
    (str, "ü \N{GRINNING FACE}"),
    (bool, True),
    (float, 0.1),
    (None, None),
    (bytes, b"abc"),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
    (date, date(2026, 1, 2)),
    (timedelta, timedelta(seconds=90.5)),
    (uuid.UUID, uuid.UUID(int=7)),
    (Decimal, Decimal("1.10")),
    (Colour, Colour.RED),
    (Literal["a", "b"], "b"),
    (Point, Point(1, 2.5)),
    (Page[Point], Page[Point](items=[Point(1)], nextPage=2)),
    (list[Point], [Point(1), Point(2)]),
    (dict[str, list[int]], {"a": [1, 2]}),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (int | str, "7"),
    (Point | None, None),
    (Annotated[int, pydantic.Field(gt=0)], 4),
    (Any, {"free": [1, None, "form"]}),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_every_kind_of_value_survives_the_ledger(kind, value):
    """What the caller passes is what the handler gets, in type and value."""

    def handler(it):
        return it

    handler.__annotations__ = {"it": kind}
    arguments = arguments_of(handler)

    loaded = arguments.load(arguments.bind(value))

    assert {"it": value} == loaded
    assert type(value) is type(loaded["it"])


def test_defaults_stay_with_the_handler():
    """A default is not written, so a newer version of the handler can change it."""

    def handler(a: int, b: str = "x", *, c: list[int] | None = None): ...

    arguments = arguments_of(handler)

    assert '{"a":1}' == arguments.bind(1)
    assert {"a": 1, "c": [2]} == arguments.load(arguments.bind(a=1, c=[2]))


def test_parameter_names_are_free():
    """A parameter may be called what pydantic or the binder use themselves."""

    def handler(self_: int, schema: int, copy: int, model_config: int, task: int): ...

    arguments = arguments_of(handler)

    expected = {"self_": 1, "schema": 2, "copy": 3, "model_config": 4, "task": 5}
    assert expected == arguments.load(arguments.bind(**expected))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({}, "missing a required argument: 'point'"),
        ({"point": {"x": "one"}}, "point.x: Input should be a valid integer"),
        ({"point": {"x": 1}, "many": [1, "two"]}, "many.1: Input should be a valid integer"),
        ({"point": {"x": 1}, "other": 1}, "unexpected keyword argument 'other'"),
        ({"point": {"x": 1}, "free": float("nan")}, "$.free is nan"),
        ({"point": {"x": 1}, "free": {"deep": ["a\x00b"]}}, "$.free.deep[0] holds a NUL character"),
        ({"point": {"x": 1}, "free": "\ud800"}, "lone surrogate"),
        ({"point": {"x": 1}, "free": object()}, "does not survive JSON"),
        ({"point": {"x": 1}, "free": pydantic.SecretStr("hunter2")}, "$.free is a secret"),
        ({"point": {"x": 1}, "free": [Login(user="u", password="hunter2")]}, "is a secret"),
    ],
)
def test_a_bad_argument_is_named_with_its_path(call, expected):
    """The caller reads which task and which field, and never a private value."""

    def handler(point: Point, many: list[int] = [], free: Any = None): ...  # noqa: B006 -- never called

    with pytest.raises(InvalidArguments) as caught:
        arguments_of(handler).bind(**call)

    assert expected in str(caught.value)
    assert "shop.order" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_value_that_contains_itself_is_refused():
    """A loop in the data is an error of the caller's, not of the program's stack."""

    def handler(free: Any): ...

    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InvalidArguments):
        arguments_of(handler).bind(loop)


@pytest.mark.parametrize(
    "text", ["[]", '{"a": 1, "a": 2}', '{"a": NaN}', '{"b": 1}', "no json", '{"a": "x"}']
)
def test_a_text_that_no_longer_fits_is_refused(text):
    """A worker with another version of the handler says so instead of calling it."""

    def handler(a: int): ...

    with pytest.raises(InvalidArguments, match=r"shop\.order"):
        arguments_of(handler).load(text)


def _handler_with_args(*numbers: int): ...
def _handler_with_kwargs(**options: int): ...
def _handler_with_positional(a: int, /): ...
def _handler_with_secret(login: list[Login]): ...
def _handler_with_secret_bytes(token: pydantic.SecretBytes | None = None): ...
def _handler_with_object(connection: Arguments): ...


@pytest.mark.parametrize(
    "handler",
    [
        _handler_with_args,
        _handler_with_kwargs,
        _handler_with_positional,
        _handler_with_secret,
        _handler_with_secret_bytes,
        _handler_with_object,
    ],
)
def test_a_handler_that_json_cannot_call_is_refused_at_import(handler):
    """What can never work is said when the module is imported."""
    with pytest.raises(InvalidTask, match=r"shop\.order"):
        arguments_of(handler)


def test_the_schema_tells_names_types_and_defaults():
    """People and clients that know only the name can see what a task takes."""

    def handler(point: Point, times: int = 3, when: date = date(2026, 1, 1)): ...

    schema = json.loads(arguments_of(handler).schema())

    assert ["point"] == schema["required"]
    assert 3 == schema["properties"]["times"]["default"]
    assert "2026-01-01" == schema["properties"]["when"]["default"]
    assert schema["additionalProperties"] is False
