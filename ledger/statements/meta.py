"""Facts about the ledger itself."""

from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    Insert,
    Integer,
    Interval,
    Select,
    String,
    Update,
    cast,
    extract,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from holdfast.ledger.engine import IDLE_TRANSACTION_TIMEOUT
from holdfast.ledger.schema import health_probe, meta
from holdfast.ledger.types import Now, now_plus


@lru_cache(maxsize=64)
def fact(name: str) -> Select[*tuple[Any, ...]]:
    """Read one fact."""
    return select(meta.c.value).where(meta.c.name == name)


def note(name: str, value: str) -> Insert:
    """Write a fact, whatever it was."""
    statement = insert(meta).values(name=name, value=value, changed_at=Now())
    return statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": statement.excluded.value, "changed_at": Now()}
    )


def note_first(name: str, value: str) -> Insert:
    """Write a fact if there is none."""
    statement = insert(meta).values(name=name, value=value, changed_at=Now())
    return statement.on_conflict_do_nothing(index_elements=["name"])


@cache
def raise_incarnation() -> Update:
    """Raise the incarnation: fences from now on are above all that were ever given."""
    return (
        meta.update()
        .values(value=cast(cast(meta.c.value, Integer) + 1, String), changed_at=Now())
        .where(meta.c.name == "incarnation")
        .returning(meta.c.value)
    )


def change_epoch(seen: str, new: str, *, rest_seconds: float) -> Update:
    """Change the epoch if it is still the one that was seen, and old enough (B10)."""
    return (
        meta.update()
        .values(value=new, changed_at=Now())
        .where(meta.c.name == "epoch", meta.c.value == seen, meta.c.changed_at <= now_plus(-rest_seconds))
        .returning(meta.c.value)
    )


@cache
def idle_limit() -> Select[*tuple[Any, ...]]:
    """Read after how many seconds PostgreSQL ends a transaction of ours in which nothing happens."""
    limit = func.current_setting(IDLE_TRANSACTION_TIMEOUT)
    return select(cast(extract("epoch", cast(limit, Interval)), Integer))


@cache
def probe() -> Insert:
    """Write one tiny row, to see whether writing works."""
    statement = insert(health_probe).values(id=1, at=Now())
    return statement.on_conflict_do_update(index_elements=["id"], set_={"at": Now()})


@cache
def answer() -> Select[*tuple[Any, ...]]:
    """Read nothing, to see whether reading works."""
    return select(literal(1))
