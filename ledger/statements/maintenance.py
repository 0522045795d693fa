"""Sweeps over waiting and running rows: each a level, bounded, passing over locked rows."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Update,
    and_,
    case,
    exists,
    literal,
    or_,
    select,
    union_all,
)

from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import jobs, offers, workers
from holdfast.ledger.statements.shape import MOVED, WAITING, becoming, in_state, is_still, named, offered_by
from holdfast.ledger.types import Now, SecondsBetween, now_plus

FIRST_RING_PAUSE_SECONDS: Final = 60
LONGEST_RING_PAUSE_SECONDS: Final = 3600
MOST_DOUBLINGS: Final = 6
NO_OFFER: Final = "no_worker_offers"
NO_LANE: Final = "no living worker has room for isolated jobs: set HOLDFAST_WORKER_ISOLATED_PROCESSES"


@lru_cache(maxsize=64)
def due(limit: int) -> Select[*tuple[Any, ...]]:
    """Lock scheduled jobs whose time has come, earliest first."""
    return _locked(
        select(jobs.c.id)
        .where(in_state(JobState.SCHEDULED), jobs.c.run_at <= Now())
        .order_by(jobs.c.run_at)
        .limit(limit)
    )


@cache
def next_due() -> Select[*tuple[Any, ...]]:
    """Read in how many seconds the scheduled job that is due first is due."""
    first = select(jobs.c.run_at).where(in_state(JobState.SCHEDULED)).order_by(jobs.c.run_at).limit(1)
    return select(SecondsBetween(Now(), first.scalar_subquery()))


@cache
def stage() -> Update:
    """Make a batch of scheduled jobs available."""
    return _of_batch(JobState.SCHEDULED).values(**becoming(JobState.AVAILABLE)).returning(*MOVED)


@lru_cache(maxsize=64)
def ringing(epoch: str | None, limit: int) -> Select[*tuple[Any, ...]]:
    """Lock available jobs whose ring is due, or was sent in another epoch of the broker (B10).

    No ring calls for a job that runs in an isolated process: workers with room there look for it.
    """
    due_now = jobs.c.next_ring_at <= Now()
    last = jobs.c.ring_epoch
    never = last == literal("", String)
    if epoch is None:
        arms = [and_(never, due_now), and_(last > literal("", String), due_now)]
    else:
        arms = [
            and_(never, due_now),
            and_(last == epoch, due_now),
            and_(last > literal("", String), last < epoch),
            last > epoch,
        ]
    parts = [
        _locked(
            select(jobs.c.id, jobs.c.next_ring_at)
            .where(in_state(JobState.AVAILABLE), jobs.c.cohort.is_(None), arm)
            .order_by(jobs.c.next_ring_at)
            .limit(limit)
        ).cte(f"part_{index}")
        for index, arm in enumerate(arms)
    ]
    merged = union_all(*(select(part.c.id, part.c.next_ring_at) for part in parts)).subquery("merged")
    return select(merged.c.id).order_by(merged.c.next_ring_at, merged.c.id).limit(limit)


@lru_cache(maxsize=64)
def ring(epoch: str | None) -> Update:
    """Count a ring for each job of a batch, and set the next one later each time.

    A job from before its task became isolated joins those that workers look for, instead of ringing on.
    """
    pauses = [
        (jobs.c.rings == doublings, literal(float(FIRST_RING_PAUSE_SECONDS * 2**doublings)))
        for doublings in range(MOST_DOUBLINGS)
    ]
    pause = case(*pauses, else_=literal(float(LONGEST_RING_PAUSE_SECONDS)))
    return (
        _of_batch(JobState.AVAILABLE)
        .values(
            rings=case((jobs.c.rings < MOST_DOUBLINGS, jobs.c.rings + 1), else_=MOST_DOUBLINGS),
            ring_epoch=epoch or "",
            next_ring_at=now_plus(pause),
            cohort=case((jobs.c.cohort.is_(None) & _is_isolated_everywhere(), 1), else_=jobs.c.cohort),
        )
        .returning(jobs.c.id, jobs.c.task, jobs.c.queue, jobs.c.priority, jobs.c.run_at, jobs.c.cohort)
    )


@cache
def ring_soon() -> Update:
    """Make the rings of a batch due now."""
    return _of_batch(JobState.AVAILABLE).values(next_ring_at=Now())


@lru_cache(maxsize=64)
def ring_elsewhere(worker_id: str) -> Update:
    """Ring a batch earlier that this worker heard and does not offer: 1 s from now, later each time.

    Doubling, as in a fleet that is half replaced every worker of the old half may hear it.
    """
    pauses = [(jobs.c.rings == rung, literal(float(2**rung))) for rung in range(MOST_DOUBLINGS)]
    earlier = now_plus(case(*pauses, else_=literal(float(FIRST_RING_PAUSE_SECONDS))))
    return (
        _of_batch(JobState.AVAILABLE)
        .values(next_ring_at=earlier)
        .where(jobs.c.next_ring_at > earlier, ~offered_by(worker_id))
    )


@lru_cache(maxsize=64)
def leftover(limit: int) -> Select[*tuple[Any, ...]]:
    """Lock running jobs whose worker is missing or dead, or whose attempt is past its end (B3, B6)."""
    lives = exists().where(workers.c.id == jobs.c.worker_id, workers.c.alive)
    return _locked(
        select(jobs.c.id, jobs.c.lease_token, jobs.c.worker_id, jobs.c.ticket, lives.label("lives"))
        .where(in_state(JobState.RUNNING), or_(~lives, jobs.c.attempt_ends_at <= Now()))
        .order_by(jobs.c.worker_id, jobs.c.attempt_ends_at)
        .limit(limit)
    )


@lru_cache(maxsize=64)
def expired(limit: int) -> Select[*tuple[Any, ...]]:
    """Lock waiting jobs past their deadline or total age."""
    return _locked(
        select(jobs.c.id)
        .where(in_state(*WAITING), jobs.c.ends_at <= Now())
        .order_by(jobs.c.ends_at)
        .limit(limit)
    )


@cache
def expire() -> Update:
    """Quarantine a batch of waiting jobs whose end has passed."""
    why = case(
        (jobs.c.deadline_at <= Now(), literal("its deadline passed before it could run", String)),
        else_=literal("it grew too old while it waited", String),
    )
    parked_on = literal("; it was parked, waiting for ", String) + jobs.c.waiting_for
    detail = why + case((jobs.c.waiting_for.is_not(None), parked_on), else_=literal("", String))
    return (
        _of_batch(*WAITING)
        .values(
            **becoming(JobState.QUARANTINED, reason=named(QuarantineReason.DEADLINE.value), detail=detail)
        )
        .returning(*MOVED)
    )


@lru_cache(maxsize=64)
def quarantine_waiting(reason: QuarantineReason, detail: str, *states: JobState) -> Update:
    """Quarantine a batch of jobs that wait in one of the states."""
    return (
        _of_batch(*states)
        .values(**becoming(JobState.QUARANTINED, reason=named(reason.value), detail=literal(detail, String)))
        .returning(*MOVED)
    )


@cache
def offered_again() -> Update:
    """Take the mark from jobs that a living worker can run now, and ring: who heard the last one let it go.

    Also from those that wait for another reason now: they are marked anew, and their time begins again.
    """
    is_outdated = is_runnable() | jobs.c.detail.is_distinct_from(_why_not_runnable())
    return (
        jobs.update()
        .values(no_offer_since=None, detail=None, next_ring_at=Now(), rings=0)
        .where(in_state(JobState.AVAILABLE), jobs.c.no_offer_since.is_not(None), is_outdated)
    )


@lru_cache(maxsize=64)
def not_offered(limit: int) -> Select[*tuple[Any, ...]]:
    """Lock available jobs without a mark that no living worker can run, however much room it had."""
    return _locked(
        select(jobs.c.id)
        .where(in_state(JobState.AVAILABLE), jobs.c.no_offer_since.is_(None), ~is_runnable())
        .limit(limit)
    )


@cache
def mark_not_offered() -> Update:
    """Mark a batch: visible to everyone, and since when."""
    return (
        _of_batch(JobState.AVAILABLE)
        .values(no_offer_since=Now(), detail=_why_not_runnable())
        .returning(*MOVED)
    )


@lru_cache(maxsize=64)
def never_offered(seconds: float, limit: int) -> Select[*tuple[Any, ...]]:
    """Lock marked jobs that nobody offered for so long, though some worker lived all that time (B21).

    Who waits for a lane is known, and waits on.
    """
    since = now_plus(-seconds)
    witness = exists().where(workers.c.alive, workers.c.started_at <= since)
    return _locked(
        select(jobs.c.id)
        .where(
            in_state(JobState.AVAILABLE),
            jobs.c.no_offer_since.is_not(None),
            jobs.c.no_offer_since <= since,
            jobs.c.detail == literal(NO_OFFER, String),
            ~exists().where(_lives_and_offers()),
            witness,
        )
        .order_by(jobs.c.no_offer_since)
        .limit(limit)
    )


def is_runnable() -> ColumnElement[bool]:
    """Tell whether some living worker can run it, if it has room: what runs apart needs one with a lane."""
    return exists().where(_lives_and_offers(), or_(jobs.c.cohort.is_(None), workers.c.has_lane))


def _why_not_runnable() -> ColumnElement[str]:
    is_offered = exists().where(_lives_and_offers())
    lacks_lane = and_(jobs.c.cohort.is_not(None), is_offered)
    return case((lacks_lane, literal(NO_LANE, String)), else_=literal(NO_OFFER, String))


def _is_isolated_everywhere() -> ColumnElement[bool]:
    """Tell whether no living worker would run it in itself, and some would in a process of its own.

    A worker without a lane runs isolated tasks in itself.
    """
    runs_apart = and_(offers.c.isolated, workers.c.has_lane)
    return exists().where(_lives_and_offers(), runs_apart) & ~exists().where(_lives_and_offers(), ~runs_apart)


def _lives_and_offers() -> ColumnElement[bool]:
    return and_(
        offers.c.task == jobs.c.task,
        offers.c.version == jobs.c.version,
        workers.c.id == offers.c.worker_id,
        workers.c.alive,
    )


def _of_batch(*states: JobState) -> Update:
    rows = Batch()
    return jobs.update().where(jobs.c.id == rows.text("id"), is_named(jobs.c.id), is_still(*states))


def _locked(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return statement.with_for_update(skip_locked=True, key_share=True, of=jobs)
