"""Deleting what has served its time."""

from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Delete, Insert, Select, Table, Update, and_, literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch
from holdfast.ledger.schema import (
    attempts,
    job_keys,
    job_moments,
    jobs,
    quarantined_messages,
    tombstones,
)
from holdfast.ledger.statements.shape import in_state
from holdfast.ledger.types import Now, now_plus


@lru_cache(maxsize=64)
def prunable(completed_seconds: float, quarantined_seconds: float, limit: int) -> Select[*tuple[Any, ...]]:
    """Lock final jobs that are older than their retention."""
    ended = and_(
        in_state(JobState.COMPLETED, JobState.CANCELLED), jobs.c.finished_at <= now_plus(-completed_seconds)
    )
    aside = and_(in_state(JobState.QUARANTINED), jobs.c.finished_at <= now_plus(-quarantined_seconds))
    return (
        select(jobs.c.id)
        .where(or_(ended, aside))
        .order_by(jobs.c.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=jobs)
    )


@lru_cache(maxsize=64)
def bury(seconds: float) -> Insert:
    """Leave a note for each job of a batch that it was here, and how it ended."""
    rows = Batch()
    source = select(jobs.c.id, literal(""), now_plus(seconds), jobs.c.state).where(
        jobs.c.id == rows.text("id")
    )
    statement = insert(tombstones).from_select(["job_id", "digest", "until", "became"], source)
    return statement.on_conflict_do_update(
        index_elements=["job_id"],
        set_={"until": statement.excluded.until, "became": statement.excluded.became},
    )


@cache
def note_on_keys() -> Update:
    """Write onto the keys of a batch's jobs how they ended: a key may outlive its job."""
    rows = Batch()
    return (
        job_keys.update()
        .values(became=jobs.c.state)
        .where(job_keys.c.job_id == rows.text("id"), jobs.c.id == job_keys.c.job_id)
    )


@cache
def delete_jobs() -> Delete:
    """Delete the jobs of a batch."""
    return _of_batch(jobs, jobs.c.id)


@cache
def delete_attempts() -> Delete:
    """Delete the attempts of a batch's jobs."""
    return _of_batch(attempts, attempts.c.job_id)


@cache
def delete_moments() -> Delete:
    """Delete the history of a batch's jobs."""
    return _of_batch(job_moments, job_moments.c.job_id)


@lru_cache(maxsize=64)
def drop_keys(limit: int) -> Delete:
    """Delete keys whose time is over."""
    over = select(job_keys.c.digest).where(job_keys.c.held_until <= Now()).limit(limit).scalar_subquery()
    return job_keys.delete().where(job_keys.c.digest.in_(over))


@lru_cache(maxsize=64)
def drop_tombstones(limit: int) -> Delete:
    """Delete notes whose time is over."""
    over = select(tombstones.c.job_id).where(tombstones.c.until <= Now()).limit(limit).scalar_subquery()
    return tombstones.delete().where(tombstones.c.job_id.in_(over))


@lru_cache(maxsize=64)
def drop_messages(seconds: float, limit: int) -> Delete:
    """Delete quarantined messages that were last seen long ago."""
    table = quarantined_messages
    old = select(table.c.id).where(table.c.last_seen_at <= now_plus(-seconds)).limit(limit).scalar_subquery()
    return table.delete().where(table.c.id.in_(old))


def _of_batch(table: Table, column: ColumnElement[str]) -> Delete:
    rows = Batch()
    return table.delete().where(column.in_(select(rows.text("id"))))
