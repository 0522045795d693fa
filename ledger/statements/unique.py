"""Unique keys: taken, looked at, let go, handed on."""

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Delete,
    Insert,
    Select,
    Update,
    and_,
    case,
    exists,
    false,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.functions import coalesce

from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import jobs
from holdfast.ledger.schema_unique import HOLDS, WAITS, unique_keys
from holdfast.ledger.statements.shape import MOVED, WAITING, becoming, is_still, named
from holdfast.ledger.types import Later, Now, now_plus


@cache
def take() -> Insert:
    """Take the places that are free, in the order of the batch; returns the jobs that have theirs now."""
    rows = Batch()
    seconds = rows.number("seconds")
    until = coalesce(rows.instant("until"), case((seconds.is_not(None), now_plus(seconds))))
    source = select(rows.text("id"), rows.text("digest"), rows.integer("place"), until).where(
        rows.text("id").is_not(None)
    )
    return (
        insert(unique_keys)
        .from_select(["job_id", "digest", "place", "held_until"], source)
        .on_conflict_do_nothing()
        .returning(unique_keys.c.job_id)
    )


@cache
def look() -> CompoundSelect[*tuple[Any, ...]]:
    """Read for each asker of a batch who holds its key and who waits for it, and its own row if it has one.

    One snapshot shows a job and its place together: what is stale was moved by a program that knows no keys.
    """
    rows, known = Batch("request"), Batch("known")
    has_place = and_(unique_keys.c.digest == rows.text("digest"), unique_keys.c.place.is_not(None))
    is_asker = unique_keys.c.job_id == known.text("id")
    return union_all(
        _stand(rows, has_place).where(unique_keys.c.job_id != rows.text("id")), _stand(known, is_asker)
    )


def _stand(rows: Batch, condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    source = rows.rows.join(unique_keys, condition).outerjoin(jobs, jobs.c.id == unique_keys.c.job_id)
    gone = jobs.c.id.is_(None)
    holds = coalesce(jobs.c.unique_while, "").contains(jobs.c.state)
    return select(
        rows.text("id").label("asker"),
        unique_keys.c.job_id,
        unique_keys.c.place,
        coalesce(jobs.c.state, unique_keys.c.became).label("state"),
        or_(gone, jobs.c.claims > 0, jobs.c.generation > 1).label("was_claimed"),
        case(
            (unique_keys.c.held_until <= Now(), true()),
            (gone, unique_keys.c.held_until.is_(None)),
            (holds, false()),
            else_=true(),
        ).label("is_stale"),
    ).select_from(source)


@cache
def lock() -> Select[*tuple[Any, ...]]:
    """Lock jobs that hold keys, in the order of all batches, before it is decided what becomes of them."""
    return select(jobs.c.id).where(is_named(jobs.c.id)).order_by(jobs.c.id).with_for_update(key_share=True)


@cache
def change() -> Update:
    """Give the waiting jobs of a batch new arguments, and those that are scheduled a new time where asked.

    No further than the limit of its debounce, no earlier than that makes it, and never past its deadline.
    """
    rows = Batch()
    wanted: Any = coalesce(rows.instant("run_at"), now_plus(rows.number("delay")))
    limit = Later(jobs.c.created_at, rows.number("longest"))
    latest = case((limit > jobs.c.run_at, limit), else_=jobs.c.run_at)
    bounded = case((wanted > latest, latest), else_=wanted)
    moves = and_(
        rows.number("longest").is_not(None),
        jobs.c.state == named(JobState.SCHEDULED.value),
        or_(jobs.c.deadline_at.is_(None), bounded < jobs.c.deadline_at),
    )
    # The total age counts from the time at which a job is due, as when it was enqueued.
    expires_at = Later(bounded, rows.number("age"))
    ends_at = case((jobs.c.deadline_at < expires_at, jobs.c.deadline_at), else_=expires_at)
    return (
        jobs.update()
        .where(
            jobs.c.id == rows.text("id"),
            is_named(jobs.c.id),
            is_still(JobState.SCHEDULED, JobState.AVAILABLE, JobState.PARKED),
            jobs.c.claims == 0,
        )
        .values(
            arguments=rows.text("arguments"),
            version=rows.text("version"),
            trace=rows.text("trace"),
            run_at=case((moves, bounded), else_=jobs.c.run_at),
            expires_at=case((moves, expires_at), else_=jobs.c.expires_at),
            ends_at=case((moves, ends_at), else_=jobs.c.ends_at),
            moments=jobs.c.moments + 1,
        )
        .returning(*MOVED)
    )


@cache
def release() -> Update:
    """Let go the places of a batch of jobs; returns which keys somebody waits for."""
    next_one = unique_keys.alias("next_one")
    is_next = and_(next_one.c.digest == unique_keys.c.digest, next_one.c.place == WAITS)
    is_awaited = exists().where(is_next).correlate(unique_keys)
    return (
        unique_keys.update()
        .values(place=None)
        .where(is_named(unique_keys.c.job_id), unique_keys.c.place.is_not(None))
        .returning(unique_keys.c.digest, is_awaited.label("is_awaited"))
    )


@cache
def successors() -> Select[*tuple[Any, ...]]:
    """Lock the jobs that wait for the keys of a batch, which nobody holds any more."""
    rows = Batch()
    other = unique_keys.alias("other")
    return (
        select(jobs.c.id)
        .select_from(
            rows.rows.join(
                unique_keys, and_(unique_keys.c.digest == rows.text("digest"), unique_keys.c.place == WAITS)
            ).join(jobs, jobs.c.id == unique_keys.c.job_id)
        )
        .where(~exists().where(other.c.digest == unique_keys.c.digest, other.c.place == HOLDS))
        .order_by(jobs.c.id)
        .with_for_update(key_share=True, of=jobs)
    )


@cache
def succeed() -> Update:
    """Give the keys that a batch of jobs waits for to them."""
    return (
        unique_keys.update()
        .values(place=HOLDS)
        .where(is_named(unique_keys.c.job_id), unique_keys.c.place == WAITS)
        .returning(unique_keys.c.job_id)
    )


@cache
def begin() -> Update:
    """Make a batch of jobs available whose wait for their key is over."""
    rows = Batch()
    return (
        jobs.update()
        .where(jobs.c.id == rows.text("id"), is_named(jobs.c.id), is_still(JobState.PARKED))
        .values(**becoming(JobState.AVAILABLE), wake_seq=jobs.c.wake_seq + 1)
        .returning(*MOVED)
    )


@cache
def supersede() -> Update:
    """Cancel a batch of waiting jobs for one that is newer."""
    rows = Batch()
    return (
        jobs.update()
        .where(jobs.c.id == rows.text("id"), is_named(jobs.c.id), is_still(*WAITING))
        .values(
            **becoming(JobState.CANCELLED, detail=rows.text("reason")),
            cancel_requested_at=Now(),
        )
        .returning(*MOVED)
    )


@cache
def ask_to_end() -> Update:
    """Ask a batch of running jobs to end for one that is newer; the first asker's reason stays."""
    rows = Batch()
    return (
        jobs.update()
        .where(jobs.c.id == rows.text("id"), is_named(jobs.c.id), is_still(JobState.RUNNING))
        .values(
            cancel_requested_at=coalesce(jobs.c.cancel_requested_at, Now()),
            cancel_reason=coalesce(jobs.c.cancel_reason, rows.text("reason")),
        )
    )


@cache
def untake() -> Delete:
    """Delete the places of jobs that are not written after all."""
    return unique_keys.delete().where(is_named(unique_keys.c.job_id))


@cache
def own() -> Select[*tuple[Any, ...]]:
    """Read the places of a batch of jobs."""
    return select(
        unique_keys.c.job_id,
        unique_keys.c.digest,
        unique_keys.c.place,
        unique_keys.c.held_until,
        coalesce(unique_keys.c.held_until <= Now(), false()).label("is_over"),
    ).where(is_named(unique_keys.c.job_id))
