"""What is going on now: each statement reads by an index what has not ended, or ended a moment ago."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import CompoundSelect, Select, func, select, union_all

from holdfast.jobs.state import JobState
from holdfast.ledger.schema import jobs
from holdfast.ledger.statements.selection import without_payloads
from holdfast.ledger.statements.shape import in_state, named
from holdfast.ledger.types import Now, SecondsBetween, now_plus

COUNTED: Final = (
    JobState.SCHEDULED,
    JobState.AVAILABLE,
    JobState.RUNNING,
    JobState.PARKED,
    JobState.QUARANTINED,
)


@cache
def counts() -> CompoundSelect[Any]:
    """Count what has not ended and what is quarantined, by queue and state: an arm for each index."""
    arms: list[Select[*tuple[Any, ...]]] = []
    for state in COUNTED:
        rows = select(
            jobs.c.queue,
            named(state.value).label("state"),
            func.count().label("how_many"),
            SecondsBetween(func.min(jobs.c.run_at), Now()).label("oldest"),
        )
        # What waits for something is parked, and only that; asked so, no index of all that waits is read.
        is_parked = jobs.c.waiting_for.is_not(None)
        rows = rows.where(is_parked if state is JobState.PARKED else in_state(state))
        arms.append(rows.group_by(jobs.c.queue))
    return union_all(*arms)


@lru_cache(maxsize=8)
def recent(seconds: float) -> Select[*tuple[Any, ...]]:
    """Count what was completed or cancelled within the last seconds."""
    ended = in_state(JobState.COMPLETED, JobState.CANCELLED)
    return (
        select(jobs.c.state, func.count().label("how_many"))
        .where(ended, jobs.c.finished_at > now_plus(-seconds))
        .group_by(jobs.c.state)
    )


@lru_cache(maxsize=8)
def running(limit: int) -> Select[*tuple[Any, ...]]:
    """Read running jobs, the longest first."""
    return (
        select(*without_payloads())
        .where(in_state(JobState.RUNNING))
        .order_by(jobs.c.started_at, jobs.c.id)
        .limit(limit)
    )


@cache
def held() -> Select[*tuple[Any, ...]]:
    """Count the running jobs by worker."""
    return (
        select(jobs.c.worker_id, func.count().label("how_many"))
        .where(jobs.c.state == named(JobState.RUNNING.value))
        .group_by(jobs.c.worker_id)
    )


@lru_cache(maxsize=8)
def waits(limit: int) -> Select[*tuple[Any, ...]]:
    """Count the parked jobs by what they wait for, the most waited for first."""
    how_many = func.count().label("how_many")
    return (
        select(jobs.c.waiting_for, how_many, func.min(jobs.c.run_at).label("since"))
        .where(jobs.c.waiting_for.is_not(None))
        .group_by(jobs.c.waiting_for)
        .order_by(how_many.desc(), jobs.c.waiting_for)
        .limit(limit)
    )
