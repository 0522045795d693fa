"""Statements about payloads that are kept apart from their jobs' rows."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Select,
    String,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from holdfast.jobs.claim_check import MARK
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import jobs
from holdfast.ledger.schema_payloads import payloads

_MARK: Final = literal_column(f"'{MARK}'", String)


@cache
def add() -> Insert:
    """Write the payloads of a batch; one that is there is the same."""
    rows = Batch()
    # SQLite cannot tell an ON CONFLICT after a SELECT from a join's ON without a WHERE before it.
    source = select(rows.text("id"), rows.text("digest"), rows.text("body")).where(
        rows.text("id").is_not(None)
    )
    statement = insert(payloads).from_select(["job_id", "digest", "body"], source)
    return statement.on_conflict_do_nothing(index_elements=["job_id", "digest"])


@cache
def read() -> Select[*tuple[Any, ...]]:
    """Read the payloads that a batch names."""
    rows = Batch()
    return select(payloads).where(
        is_named(payloads.c.job_id),
        payloads.c.job_id == rows.text("id"),
        payloads.c.digest == rows.text("digest"),
    )


@cache
def delete_others() -> Delete:
    """Delete what a batch's jobs have beside the payload that each row names, if it names one."""
    rows = Batch()
    is_kept = exists().where(rows.text("id") == payloads.c.job_id, rows.text("digest") == payloads.c.digest)
    return payloads.delete().where(is_named(payloads.c.job_id), ~is_kept)


@lru_cache(maxsize=64)
def orphans(limit: int) -> Select[*tuple[Any, ...]]:
    """Read payloads whose job is gone."""
    return select(payloads.c.job_id).where(~exists().where(jobs.c.id == payloads.c.job_id)).limit(limit)


@lru_cache(maxsize=64)
def dangling(limit: int) -> Select[*tuple[Any, ...]]:
    """Read of the newest jobs those with a reference, and what they refer to."""
    newest = (
        select(
            jobs.c.id,
            _reference(jobs.c.arguments).label("arguments"),
            _reference(jobs.c.result).label("result"),
            jobs.c.created_at,
        )
        .order_by(jobs.c.created_at.desc())
        .limit(limit)
        .subquery("newest")
    )
    has_lost = [
        and_(
            column.is_not(None),
            ~exists().where(payloads.c.job_id == newest.c.id, payloads.c.digest == column),
        )
        for column in (newest.c.arguments, newest.c.result)
    ]
    return select(newest.c.id).where(or_(*has_lost)).order_by(newest.c.created_at.desc())


def _reference(column: ColumnElement[str]) -> ColumnElement[str | None]:
    """Return the digest that a row refers to; null if it holds the payload itself."""
    begins = func.substr(column, literal_column("1"), literal_column(str(len(MARK)))) == _MARK
    # The digest is the last 64 characters of a reference.
    digest = func.substr(column, func.length(column) - literal_column("63"))
    return case((begins, digest))
