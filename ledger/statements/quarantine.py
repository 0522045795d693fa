"""Messages that cannot be jobs: kept, shown, replayed, dropped."""

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Select,
    Update,
    and_,
    exists,
    func,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.functions import coalesce
from sqlalchemy.types import NullType

from holdfast.jobs.state import JobState
from holdfast.ledger.records import MessageFilter
from holdfast.ledger.schema import job_moments, jobs, tombstones
from holdfast.ledger.schema import quarantined_messages as messages
from holdfast.ledger.statements.shape import in_state
from holdfast.ledger.types import Now

REFUSE: Final = "refuse"
"""The kind of a job's first moment, if it was a message that may not run."""
_SHOWN_IN_LISTS: Final = 1024
"""Bytes of each message that a list reads."""


def keep(values: dict[str, Any]) -> Insert:
    """Keep a message; the same one again is only counted, and is open again."""
    statement = insert(messages).values(**values, count=1, first_seen_at=Now(), last_seen_at=Now())
    return statement.on_conflict_do_update(
        index_elements=["queue", "digest"],
        set_={
            "count": messages.c["count"] + 1,
            "last_seen_at": Now(),
            "reason": statement.excluded.reason,
            "detail": statement.excluded.detail,
            "replayed_at": None,
        },
    ).returning(messages.c.id)


def listed(which: MessageFilter, limit: int) -> Select[*tuple[Any, ...]]:
    """Read messages, the last seen first, with the beginning of each."""
    # SQLite's substr makes NULL of no bytes.
    start = coalesce(func.substr(messages.c.raw, 1, _SHOWN_IN_LISTS), messages.c.raw)
    return (
        _read(start)
        .where(_is(which))
        .order_by(messages.c.last_seen_at.desc(), messages.c.id.desc())
        .limit(limit)
    )


def one(message_id: int) -> Select[*tuple[Any, ...]]:
    """Read one message whole."""
    return _read(messages.c.raw).where(messages.c.id == message_id)


def count(which: MessageFilter) -> Select[*tuple[Any, ...]]:
    """Count messages, and find the newest of them."""
    return select(func.count().label("how_many"), func.max(messages.c.id).label("newest")).where(_is(which))


def drop(which: MessageFilter, newest: int) -> Delete:
    """Delete the messages that were counted: none that is newer."""
    return messages.delete().where(_is(which), messages.c.id <= newest)


def drop_one(message_id: int) -> Delete:
    """Delete one message."""
    return messages.delete().where(messages.c.id == message_id)


def mark_replayed(message_id: int, times: int) -> Update:
    """Close a message that was replayed, unless it has come back since it was seen for the nth time."""
    return (
        messages.update()
        .values(replays=messages.c.replays + 1, replayed_at=Now())
        .where(messages.c.id == message_id, messages.c["count"] == times)
    )


def refused(job_id: str) -> Select[*tuple[Any, ...]]:
    """Lock a job, and read whether it is a message that was refused, and never ran."""
    return (
        select(jobs.c.id, was_refused(jobs.c.id).label("is_refused"))
        .where(jobs.c.id == job_id)
        .with_for_update(of=jobs)
    )


def forget(job_id: str) -> tuple[Delete, ...]:
    """Delete a refused job, with its history and the note of its id."""
    return (
        jobs.delete().where(jobs.c.id == job_id),
        job_moments.delete().where(job_moments.c.job_id == job_id),
        tombstones.delete().where(tombstones.c.job_id == job_id),
    )


def was_refused(job_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Tell of a job whether it is a message that was refused, and never ran."""
    first = exists().where(
        job_moments.c.job_id == job_id, job_moments.c.seq == 1, job_moments.c.kind == REFUSE
    )
    return and_(in_state(JobState.QUARANTINED), jobs.c.claims == 0, first)


def _read(raw: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    # The bytes without a type: one row with text in their place must not stop the others.
    columns = [column for column in messages.c if column.name not in {"raw", "count"}]
    bare = type_coerce(raw, NullType()).label("raw")
    return select(*columns, bare, messages.c["count"].label("times"))


def _is(which: MessageFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if which.reasons:
        conditions.append(messages.c.reason.in_([reason.value for reason in which.reasons]))
    if which.queues:
        conditions.append(messages.c.queue.in_(which.queues))
    if not which.with_replayed:
        conditions.append(messages.c.replayed_at.is_(None))
    return and_(*conditions)
