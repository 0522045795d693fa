"""Batches: many rows as one JSON parameter.

Texts that no database can hold are found here, before the database sees them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    column,
)
from sqlalchemy.types import TypeEngine

from holdfast.ledger.types import EachRow, Instant, OneOfIds

T = TypeVar("T")

MOST_ROWS: Final = 1000
MOST_CHARACTERS: Final = 8 * 1024 * 1024
ROWS: Final = "rows"
"""Name of the parameter that holds a batch."""

IDS: Final = "ids"
"""Name of the parameter that holds the ids of a batch once more."""

Row = Mapping[str, object]


def packed(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the parameter of a statement over a batch."""
    return {ROWS: json.dumps(rows, ensure_ascii=False, allow_nan=False, separators=(",", ":"))}


def packed_with_ids(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the parameters of a statement that also asks for `is_named`."""
    return {**packed(rows), **packed_ids([row["id"] for row in rows])}


def packed_ids(ids: Sequence[object]) -> dict[str, Any]:
    """Return the parameter of a statement that asks for `is_named` alone."""
    return {IDS: json.dumps(ids)}


def is_named(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Tell whether a column is the `id` of any row of the batch: for the planner, beside the join."""
    return OneOfIds(column, bindparam(IDS, type_=Text()))


def chunked(items: Sequence[T], size: Callable[[T], int], *, most_rows: int = MOST_ROWS) -> Iterator[list[T]]:
    """Cut a batch so that no part has too many rows, or too many characters unless it is one row."""
    chunk: list[T] = []
    characters = 0
    for item in items:
        length = size(item)
        if chunk and (len(chunk) >= most_rows or characters + length > MOST_CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk.append(item)
        characters += length
    if chunk:
        yield chunk


def is_storable(text: str | None) -> bool:
    """Tell whether both databases can hold a text: no NUL, no lone surrogate."""
    if text is None:
        return True
    if "\x00" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Batch:
    """The rows of a batch inside a statement, with typed fields."""

    def __init__(self, name: str = "request", parameter: str = ROWS) -> None:
        """Name the rows; `parameter` is the statement parameter that holds them."""
        self.rows: TableValuedAlias = (
            EachRow(bindparam(parameter, type_=Text())).table_valued("value").alias(name)
        )

    def text(self, field: str) -> ColumnElement[str]:
        """Return a field as text."""
        return self._field(field, Text())

    def integer(self, field: str) -> ColumnElement[int]:
        """Return a field as an integer."""
        return self._field(field, Integer())

    def large_integer(self, field: str) -> ColumnElement[int]:
        """Return a field as an integer of 64 bits."""
        return self._field(field, BigInteger())

    def number(self, field: str) -> ColumnElement[float]:
        """Return a field as a float."""
        return self._field(field, Double())

    def instant(self, field: str) -> ColumnElement[Any]:
        """Return a field, written with `instant_text`, as an instant."""
        return self._field(field, Instant())

    def _field(self, field: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
        # `->> 'name'` means the same on both databases; names of fields are ours, plain words.
        raw = column("value", _selectable=self.rows).op("->>")(literal_field(field))
        return cast(raw, kind)


def literal_field(field: str) -> ColumnElement[str]:
    """Write a field's name into the statement itself."""
    if not field.isidentifier():
        raise ValueError(f"{field!r} is no plain name of a field")
    return column(f"'{field}'", Text, is_literal=True)
