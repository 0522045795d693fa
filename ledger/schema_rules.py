"""What the ledger's tables have in common: their names, their sizes, and the rules that CHECK them."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import CheckConstraint, ColumnElement, MetaData, String, and_, column, func, or_

from holdfast.ledger.types import IsInstant

LONGEST_NAME: Final = 255
"""Characters of the name of a task, queue, tenant, worker."""
LONGEST_KEY: Final = 1024
LONGEST_DETAIL: Final = 2000
LONGEST_TAGS: Final = 4000
LARGEST_COUNT: Final = 1_000_000_000
"""Counters stay below this, so that adding one never overflows an INTEGER."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def instants(*names: str) -> list[CheckConstraint]:
    """Hold columns to what can be read back as an instant."""
    return [
        CheckConstraint(or_(column(name).is_(None), IsInstant(column(name))), name=name) for name in names
    ]


def texts(limit: int, *names: str) -> list[CheckConstraint]:
    """Bound the lengths of texts, in characters."""
    return [CheckConstraint(func.length(column(name)) <= limit, name=f"{name}_size") for name in names]


def counters(*names: str) -> list[CheckConstraint]:
    """Keep counters where adding one never overflows."""
    return [CheckConstraint(column(name).between(0, LARGEST_COUNT), name=name) for name in names]


def same(left: ColumnElement[Any], right: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether both are true, or neither."""
    return or_(and_(left, right), and_(~left, ~right))


def one_of(name: str, values: Iterable[str]) -> ColumnElement[bool]:
    """Tell whether a column is one of these words."""
    return column(name, String).in_(sorted(values))


def filled(name: str) -> ColumnElement[bool]:
    """Tell whether a column is not NULL."""
    return column(name).is_not(None)
