"""Parked jobs that wait for an upstream: who they are, and which may go."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Select, String, Update, bindparam, exists, func, select
from sqlalchemy import literal_column as literally

from holdfast.jobs.outcome import UPSTREAM
from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import job_moments, jobs, queue_pauses
from holdfast.ledger.statements.maintenance import is_runnable
from holdfast.ledger.statements.shape import MOVED, becoming, is_still
from holdfast.ledger.types import Now, SecondsBetween

WAITING_FOR: Final = "wanted"
PRIORITY: Final = "wanted_priority"
TENANT: Final = "wanted_tenant"
LIMIT: Final = "most"


@cache
def groups() -> Select[*tuple[Any, ...]]:
    """Count who waits for upstreams. From one index alone, however large the rows are."""
    names = (jobs.c.waiting_for, jobs.c.priority, jobs.c.tenant)
    return (
        select(*names, func.count().label("waiting"), func.min(jobs.c.run_at).label("since"))
        .where(_waits())
        .group_by(*names)
    )


@lru_cache(maxsize=4)
def oldest(*, has_tenant: bool, can_begin: bool) -> Select[*tuple[Any, ...]]:
    """Lock the oldest of a group; who is being moved by somebody else is passed over.

    `can_begin`: only jobs that nothing else keeps from running, for a ticket is
    wasted on the others. Who is past its end is left to the expirer.
    """
    tenant = jobs.c.tenant == bindparam(TENANT, type_=String()) if has_tenant else jobs.c.tenant.is_(None)
    statement = select(jobs.c.id).where(
        _waits(),
        jobs.c.waiting_for == bindparam(WAITING_FOR, type_=String()),
        jobs.c.priority == bindparam(PRIORITY, type_=jobs.c.priority.type),
        tenant,
        jobs.c.ends_at > Now(),
    )
    if can_begin:
        paused = exists().where(queue_pauses.c.queue == jobs.c.queue)
        statement = statement.where(~paused, is_runnable())
    return (
        # The tenant is the same for all; named, it lets the index give the order where it is NULL, too.
        statement.order_by(jobs.c.tenant, jobs.c.run_at, jobs.c.id)
        .limit(bindparam(LIMIT, type_=Integer()))
        .with_for_update(skip_locked=True, key_share=True, of=jobs)
    )


@cache
def release() -> Update:
    """Make a batch of parked jobs available, each with its ticket; counts as a wake-up (B14)."""
    rows = Batch()
    return (
        jobs.update()
        .values(
            **becoming(JobState.AVAILABLE, ticket=rows.text("ticket")),
            wake_seq=jobs.c.wake_seq + 1,
        )
        .where(jobs.c.id == rows.text("id"), is_named(jobs.c.id), is_still(JobState.PARKED))
        .returning(*MOVED, jobs.c.ticket, jobs.c.cohort, jobs.c.priority)
    )


@cache
def waited() -> Select[*tuple[Any, ...]]:
    """Read how long ago the moments of a batch were."""
    rows = Batch()
    return select(job_moments.c.job_id, SecondsBetween(job_moments.c.at, Now()).label("seconds")).where(
        job_moments.c.job_id == rows.text("id"), job_moments.c.seq == rows.integer("seq")
    )


def _waits() -> ColumnElement[bool]:
    # In the index's own words, as partial indexes serve no parameters; a row that waits is parked (CHECK).
    begins = func.substr(jobs.c.waiting_for, literally("1"), literally(str(len(UPSTREAM))))
    return begins == literally(f"'{UPSTREAM}'", String)
