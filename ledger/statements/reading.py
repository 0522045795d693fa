"""Questions."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, exists, func, select

from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.batch import is_named
from holdfast.ledger.schema import attempts, job_moments, jobs, tombstones
from holdfast.ledger.statements.shape import in_state
from holdfast.ledger.types import Now, SecondsBetween


@cache
def jobs_of_batch() -> Select[*tuple[Any, ...]]:
    """Read the jobs of a batch."""
    return select(jobs).where(is_named(jobs.c.id))


def attempts_of(job_id: str) -> Select[*tuple[Any, ...]]:
    """Read a job's attempts in the order in which they were claimed."""
    return (
        select(attempts)
        .where(attempts.c.job_id == job_id)
        .order_by(attempts.c.fence_incarnation, attempts.c.fence_counter, attempts.c.started_at)
    )


def history(job_id: str, after: int) -> Select[*tuple[Any, ...]]:
    """Read what happened to a job after a moment."""
    return (
        select(job_moments)
        .where(job_moments.c.job_id == job_id, job_moments.c.seq > after)
        .order_by(job_moments.c.seq)
    )


@cache
def counts() -> Select[*tuple[Any, ...]]:
    """Count the jobs by queue and state."""
    return (
        select(
            jobs.c.queue,
            jobs.c.state,
            func.count().label("how_many"),
            SecondsBetween(func.min(jobs.c.run_at), Now()).label("oldest"),
        )
        .group_by(jobs.c.queue, jobs.c.state)
        .order_by(jobs.c.queue, jobs.c.state)
    )


def listed(
    states: Sequence[JobState],
    tasks: Sequence[str],
    limit: int,
    *,
    queues: Sequence[str] = (),
    reasons: Sequence[QuarantineReason] = (),
) -> Select[*tuple[Any, ...]]:
    """Read jobs, newest first."""
    statement = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
    if states:
        statement = statement.where(in_state(*states))
    wanted = (
        (jobs.c.task, tasks),
        (jobs.c.queue, queues),
        (jobs.c.reason, [reason.value for reason in reasons]),
    )
    for column, values in wanted:
        if values:
            statement = statement.where(column.in_(values))
    return statement


def tombstone(job_id: str) -> Select[*tuple[Any, ...]]:
    """Read whether a job was here and is pruned."""
    lives = exists().where(jobs.c.id == tombstones.c.job_id)
    return select(tombstones.c.job_id).where(
        tombstones.c.job_id == job_id, tombstones.c.until > Now(), ~lives
    )
