"""Claims: who gets a job."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Double,
    Insert,
    Integer,
    Select,
    String,
    Update,
    and_,
    bindparam,
    case,
    cast,
    exists,
    null,
    select,
    union_all,
)
from sqlalchemy.sql.functions import coalesce

from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import attempts, jobs, meta, queue_pauses, workers
from holdfast.ledger.statements.shape import in_state, is_still, named, offered_by
from holdfast.ledger.types import LONGEST_SECONDS, Now, now_plus

GRACE_SECONDS: Final = "grace_seconds"
LIMITS: Final = "limits"
DEFAULT_SECONDS: Final = "default_seconds"
LIMIT: Final = "most"
SPARED_TASKS: Final = "spared_tasks"
SPARED_JOBS: Final = "spared_jobs"
LEAST_COHORT: Final = "least_cohort"


@lru_cache(maxsize=64)
def worker_is_alive(worker_id: str) -> Select[*tuple[Any, ...]]:
    """Read whether a worker's row is alive, and hold its death back until the claim is committed (B3).

    FOR KEY SHARE, as FOR SHARE would block the worker's own heartbeat.
    """
    return select(workers.c.alive).where(workers.c.id == worker_id).with_for_update(read=True, key_share=True)


@lru_cache(maxsize=64)
def by_token(worker_id: str) -> Select[*tuple[Any, ...]]:
    """Read what runs under the tokens of a batch: the answer to a claim whose reply was lost."""
    rows = Batch()
    return select(jobs).where(
        in_state(JobState.RUNNING), jobs.c.worker_id == worker_id, jobs.c.lease_token == rows.text("token")
    )


@lru_cache(maxsize=64)
def next_apart(worker_id: str, queues: tuple[str, ...], *, spares_jobs: bool) -> Select[*tuple[Any, ...]]:
    """Lock the next claimable jobs that run in isolated processes: by priority, then due time, then id.

    One small scan of a partial index per queue; rows that another claimer is
    taking are passed over, and so are the jobs to be spared.
    """
    limit = bindparam(LIMIT, type_=Integer())
    spared: list[ColumnElement[bool]] = []
    if spares_jobs:
        spared.append(jobs.c.id.not_in(bindparam(SPARED_JOBS, expanding=True, type_=String())))
    heads = [
        select(jobs.c.id, jobs.c.priority, jobs.c.run_at)
        # Asked of the queue first: of each row it would scan a long queue while that is paused.
        .where(~exists().where(queue_pauses.c.queue == queue))
        .where(jobs.c.queue == queue, in_state(JobState.AVAILABLE), may_run(worker_id, apart=True), *spared)
        .order_by(jobs.c.priority, jobs.c.run_at, jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .cte(f"head_{index}")
        for index, queue in enumerate(queues)
    ]
    merged = union_all(*(select(head.c.id, head.c.priority, head.c.run_at) for head in heads)).subquery(
        "merged"
    )
    return select(merged.c.id).order_by(merged.c.priority, merged.c.run_at, merged.c.id).limit(limit)


@cache
def lock() -> Select[*tuple[Any, ...]]:
    """Lock a batch's rows in order of their ids, so that two batches cannot block each other."""
    return select(jobs.c.id).where(is_named(jobs.c.id)).order_by(jobs.c.id).with_for_update(key_share=True)


@lru_cache(maxsize=64)
def claim(worker_id: str, *, apart: bool = False) -> Update:
    """Give each claimable job of a batch to the worker, under the batch's tokens.

    A token serves one claim: a repeated request cannot take a job a second time.
    """
    rows = Batch()
    token = rows.text("token")
    used = exists().where(attempts.c.job_id == jobs.c.id, attempts.c.token == token)
    incarnation = select(cast(meta.c.value, Integer)).where(meta.c.name == "incarnation").scalar_subquery()
    return (
        jobs.update()
        .values(
            state=named("running"),
            lease_token=token,
            worker_id=worker_id,
            attempt=jobs.c.attempt + 1,
            claims=jobs.c.claims + 1,
            fence_incarnation=incarnation,
            fence_counter=jobs.c.fence_counter + 1,
            started_at=Now(),
            attempt_ends_at=now_plus(_most_seconds() + _grace_seconds()),
            next_ring_at=null(),
            rings=0,
            no_offer_since=null(),
            detail=null(),
            progress=null(),
            moments=jobs.c.moments + 1,
        )
        .where(
            jobs.c.id == rows.text("id"),
            is_named(jobs.c.id),
            is_still(JobState.AVAILABLE),
            may_run(worker_id, apart=apart),
            ~used,
        )
        .returning(*jobs.c)
    )


@cache
def start_attempts() -> Insert:
    """Write the attempts of the jobs that were claimed."""
    rows = Batch()
    return attempts.insert().from_select(
        [
            "job_id",
            "token",
            "generation",
            "number",
            "fence_incarnation",
            "fence_counter",
            "worker_id",
            "started_at",
        ],
        select(
            rows.text("id"),
            rows.text("token"),
            rows.integer("generation"),
            rows.integer("number"),
            rows.integer("incarnation"),
            rows.integer("counter"),
            rows.text("worker_id"),
            Now(),
        ),
    )


def may_run(worker_id: str, *, apart: bool) -> ColumnElement[bool]:
    """Tell of an available row whether a worker may claim it now."""
    paused = exists().where(queue_pauses.c.queue == jobs.c.queue)
    cohort = jobs.c.cohort
    # A partial index serves only the one that says IS NOT NULL in so many words.
    least = bindparam(LEAST_COHORT, type_=Integer())
    is_here = and_(cohort.is_not(None), cohort >= least) if apart else cohort.is_(None)
    return and_(
        is_here,
        jobs.c.cancel_requested_at.is_(None),
        jobs.c.ends_at > Now(),
        ~paused,
        offered_by(worker_id),
    )


def _grace_seconds() -> ColumnElement[float]:
    return bindparam(GRACE_SECONDS, type_=Double())


def _most_seconds() -> ColumnElement[float]:
    limits = Batch("limited", LIMITS)
    of_task = (
        select(limits.number("seconds")).where(limits.text("task") == jobs.c.task).limit(1).scalar_subquery()
    )
    asked = coalesce(jobs.c.hard_timeout_seconds, of_task, bindparam(DEFAULT_SECONDS, type_=Double()))
    # A value written by hand may be infinite or no number at all.
    return case((asked < LONGEST_SECONDS, asked), else_=LONGEST_SECONDS)
