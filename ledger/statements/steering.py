"""An operator's hand on jobs, on one or on each of a batch, and on queues."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Insert, Select, Update, case, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete
from sqlalchemy.sql.functions import coalesce

from holdfast.jobs.state import FINAL_STATES, JobState, QuarantineReason
from holdfast.ledger.batch import is_named
from holdfast.ledger.schema import jobs, queue_pauses
from holdfast.ledger.statements.shape import MOVED, UNIQUE, WAITING, becoming, in_state, is_still, named
from holdfast.ledger.types import Now, now_plus


def look(job_id: str) -> Select[*tuple[Any, ...]]:
    """Lock a job before deciding about it."""
    return select(jobs.c.state).where(jobs.c.id == job_id).with_for_update(key_share=True)


def cancel(job_id: str, reason: str) -> Update:
    """Cancel a waiting job."""
    here = (jobs.c.id == job_id, in_state(*WAITING))
    return jobs.update().values(**_cancelled(reason)).where(*here).returning(*MOVED)


def cancel_each(reason: str) -> Update:
    """Cancel the waiting jobs of a batch."""
    return _of_batch(*WAITING).values(**_cancelled(reason)).returning(*MOVED)


def ask_to_cancel(job_id: str, reason: str) -> Update:
    """Ask for the cancellation of a running job; the first asker's reason stays."""
    here = (jobs.c.id == job_id, in_state(JobState.RUNNING))
    return jobs.update().values(**_asked(reason)).where(*here).returning(jobs.c.id)


def ask_each(reason: str) -> Update:
    """Ask for the cancellation of the running jobs of a batch; the first asker's reason stays."""
    return _of_batch(JobState.RUNNING).values(**_asked(reason))


def requeue(job_id: str, total_age_seconds: float) -> Update:
    """Open the next generation of a quarantined job: a new budget, a new end, the same id and steps."""
    here = (jobs.c.id == job_id, in_state(JobState.QUARANTINED))
    return jobs.update().values(**_requeued(total_age_seconds)).where(*here).returning(*jobs.c)


def requeue_each(total_age_seconds: float) -> Update:
    """Open the next generation of the quarantined jobs of a batch."""
    return _of_batch(JobState.QUARANTINED).values(**_requeued(total_age_seconds)).returning(*MOVED)


@cache
def hurry_each() -> Update:
    """Make the scheduled jobs of a batch available before their time."""
    return (
        _of_batch(JobState.SCHEDULED).values(**becoming(JobState.AVAILABLE, run_at=Now())).returning(*MOVED)
    )


def wake(job_id: str) -> Update:
    """Count a wake-up; a parked job becomes available. One statement, so that no park is missed (B14)."""
    # Who waits for the end of an older job of its unique key is woken by that end and by nothing else.
    for_key = func.substr(jobs.c.waiting_for, 1, len(UNIQUE)) == UNIQUE
    is_parked = in_state(JobState.PARKED) & ~for_key
    available = named(JobState.AVAILABLE.value)
    return (
        jobs.update()
        .values(
            wake_seq=jobs.c.wake_seq + 1,
            state=case((is_parked, available), else_=jobs.c.state),
            next_ring_at=case((is_parked, Now()), else_=jobs.c.next_ring_at),
            rings=case((is_parked, 0), else_=jobs.c.rings),
            ring_epoch=case((is_parked, ""), else_=jobs.c.ring_epoch),
            detail=case((is_parked, None), else_=jobs.c.detail),
            waiting_for=case((is_parked, None), else_=jobs.c.waiting_for),
            moments=jobs.c.moments + case((is_parked, 1), else_=0),
        )
        .where(jobs.c.id == job_id, ~in_state(*sorted(FINAL_STATES)))
        .returning(*MOVED)
    )


def pause(queue: str, reason: str) -> Insert:
    """Gate the claims of a queue."""
    return (
        insert(queue_pauses)
        .values(queue=queue, paused_at=Now(), reason=reason)
        .on_conflict_do_nothing(index_elements=["queue"])
        .returning(queue_pauses.c.queue)
    )


def resume(queue: str) -> ReturningDelete[Any]:
    """Open the gate again."""
    return queue_pauses.delete().where(queue_pauses.c.queue == queue).returning(queue_pauses.c.queue)


@cache
def paused() -> Select[*tuple[Any, ...]]:
    """Read the gated queues."""
    return select(queue_pauses.c.queue, queue_pauses.c.paused_at, queue_pauses.c.reason).order_by(
        queue_pauses.c.queue
    )


def waiting_in(queue: str, after: tuple[int, datetime, str] | None, limit: int) -> Select[*tuple[Any, ...]]:
    """Lock a page of a queue's available jobs in the order of claims, beginning after a place in it."""
    place = (jobs.c.priority, jobs.c.run_at, jobs.c.id)
    statement = (
        select(*place)
        .where(jobs.c.queue == queue, in_state(JobState.AVAILABLE))
        .order_by(*place)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    if after is None:
        return statement
    priority, run_at, job_id = after
    return statement.where(
        tuple_(*place)
        > tuple_(
            literal(priority, jobs.c.priority.type), literal(run_at, jobs.c.run_at.type), literal(job_id)
        )
    )


@cache
def hasten() -> Update:
    """Make the rings of a batch due now, as if none had been sent."""
    return _of_batch(JobState.AVAILABLE).values(next_ring_at=Now(), rings=0)


def _of_batch(*states: JobState) -> Update:
    # By the ids alone: to join the rows as well would cost SQLite the square of their number.
    return jobs.update().where(is_named(jobs.c.id), is_still(*states))


def _cancelled(reason: str) -> dict[str, Any]:
    why = literal(reason or None, jobs.c.detail.type)
    return {**becoming(JobState.CANCELLED, detail=why), "cancel_requested_at": Now()}


def _asked(reason: str) -> dict[str, Any]:
    return {
        "cancel_requested_at": coalesce(jobs.c.cancel_requested_at, Now()),
        "cancel_reason": coalesce(jobs.c.cancel_reason, reason or None),
    }


def _requeued(total_age_seconds: float) -> dict[str, Any]:
    ends_at = now_plus(total_age_seconds)
    return {
        **becoming(JobState.AVAILABLE, run_at=Now()),
        "generation": jobs.c.generation + 1,
        "attempt": 0,
        "claims": 0,
        "losses": 0,
        # What was put aside as poison begins alone; nothing else remembers.
        "cohort": case((jobs.c.reason == named(QuarantineReason.POISON.value), 1), else_=jobs.c.cohort),
        "crashes": 0,
        "deaths_alone": 0,
        "cancel_requested_at": None,
        "cancel_reason": None,
        "deadline_at": None,
        "expires_at": ends_at,
        "ends_at": ends_at,
        "progress": None,
    }
