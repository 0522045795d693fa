"""Deleting what has served its time."""

from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Delete, Insert, Select, Table, Update, literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from holdfast.jobs.retention import Sweep
from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch
from holdfast.ledger.schema import attempts, job_keys, job_moments, jobs, quarantined_messages, tombstones
from holdfast.ledger.schema_payloads import payloads
from holdfast.ledger.schema_tags import job_tags
from holdfast.ledger.schema_unique import HOLDS, unique_keys
from holdfast.ledger.statements.children import is_needed
from holdfast.ledger.statements.shape import in_state, is_still
from holdfast.ledger.types import Now, now_plus


def prunable(sweep: Sweep, finished: datetime | None, limit: int) -> Select[*tuple[Any, ...]]:
    """Lock final jobs older than their retention, but for children whose parent may ask for them.

    `finished`: only those that ended after it.
    """
    if sweep.state is JobState.QUARANTINED:
        conditions = [in_state(JobState.QUARANTINED)]
    else:
        # As the index over both is declared, and then the one.
        conditions = [in_state(JobState.COMPLETED, JobState.CANCELLED), is_still(sweep.state)]
    conditions.append(jobs.c.finished_at <= now_plus(-sweep.seconds))
    if finished is not None:
        conditions.append(jobs.c.finished_at > finished)
    if sweep.task is not None:
        conditions.append(jobs.c.task == sweep.task)
    if sweep.others:
        conditions.append(jobs.c.task.not_in(sweep.others))
    return (
        select(jobs.c.id)
        .where(*conditions, ~is_needed())
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
def note_on_unique_keys() -> Update:
    """Write the same onto the unique keys that are still held when their job is gone."""
    rows = Batch()
    return (
        unique_keys.update()
        .values(became=jobs.c.state)
        .where(
            unique_keys.c.job_id == rows.text("id"),
            unique_keys.c.place == HOLDS,
            jobs.c.id == unique_keys.c.job_id,
        )
    )


@cache
def delete_unique_keys() -> Delete:
    """Delete the unique keys of a batch's jobs, but for those that are held for a time."""
    place, held_until = unique_keys.c.place, unique_keys.c.held_until
    is_over = or_(place.is_(None), place != HOLDS, held_until.is_(None))
    return _of_batch(unique_keys, unique_keys.c.job_id).where(is_over)


@lru_cache(maxsize=64)
def drop_unique_keys(limit: int) -> Delete:
    """Delete unique keys whose time is over."""
    over = (
        select(unique_keys.c.job_id).where(unique_keys.c.held_until <= Now()).limit(limit).scalar_subquery()
    )
    return unique_keys.delete().where(unique_keys.c.job_id.in_(over))


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


@cache
def delete_tags() -> Delete:
    """Delete what finds a batch's jobs by their tags."""
    return _of_batch(job_tags, job_tags.c.job_id)


@cache
def delete_payloads() -> Delete:
    """Delete the large payloads of a batch's jobs."""
    return _of_batch(payloads, payloads.c.job_id)


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
