"""Whose job is claimed next: the groups that wait, and the first jobs of some of them."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    SmallInteger,
    String,
    bindparam,
    exists,
    literal,
    literal_column,
    select,
    union_all,
)

from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch
from holdfast.ledger.schema import jobs, queue_pauses
from holdfast.ledger.statements.claim import SPARED_JOBS, SPARED_TASKS, may_run
from holdfast.ledger.statements.shape import is_still

MOST: Final = "most_tenants"
AFTER: Final = "after"
UNNAMED: Final = "unnamed"
EXACTLY: Final = "exactly"
"""What a row of the batch asks of a priority and queue: which tenants come after one, whether jobs without a
tenant wait, or whether those of exactly this one do.
"""
_ONE: Final = literal_column("1", Integer)
"""Written out: of a parameter PostgreSQL assumes that it may be large, and sorts all that wait."""


@cache
def waiting() -> CompoundSelect[*tuple[Any, ...]]:
    """Read which priorities, queues and tenants have available jobs: one step in an index for each tenant.

    A batch asks; `lap` of its rows and `place` are the order of the turns. Not all of what is found may be
    for this worker.
    """
    walk = _walk()
    return union_all(
        _found(UNNAMED, lambda _: jobs.c.tenant.is_(None)),
        _found(EXACTLY, lambda asked: jobs.c.tenant == asked.text("tenant")),
        select(walk.c.priority, walk.c.queue, walk.c.tenant, walk.c.lap, walk.c.place).where(
            walk.c.tenant.is_not(None)
        ),
    )


def _found(kind: str, is_of: Callable[[Batch], ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    asked = Batch(kind)
    priority, queue = _place(asked)
    # Not EXISTS: PostgreSQL would join, and read all that is available for each question. The order names
    # the index to a planner that knows nothing of the table yet.
    first = (
        select(jobs.c.priority)
        .where(*_waits(priority, queue), is_of(asked))
        .order_by(jobs.c.tenant, jobs.c.run_at, jobs.c.id)
        .limit(_ONE)
    )
    return (
        select(
            priority.label("priority"),
            queue.label("queue"),
            asked.text("tenant").label("tenant"),
            asked.integer("lap").label("lap"),
            literal(0).label("place"),
        )
        .select_from(asked.rows)
        .where(_is_asked(asked, kind), first.correlate(asked.rows).scalar_subquery().is_not(None))
    )


def _walk() -> CTE:
    asked = Batch(AFTER)
    first = _next_tenant(asked.text("tenant"), *_place(asked)).correlate(asked.rows).scalar_subquery()
    priority, queue = _place(asked)
    walk = (
        select(
            priority.label("priority"),
            queue.label("queue"),
            first.label("tenant"),
            asked.integer("lap").label("lap"),
            literal(1).label("place"),
        )
        .where(_is_asked(asked, AFTER))
        .cte("walk", recursive=True)
    )
    following = _next_tenant(walk.c.tenant, walk.c.priority, walk.c.queue).correlate(walk).scalar_subquery()
    return walk.union_all(
        select(walk.c.priority, walk.c.queue, following, walk.c.lap, walk.c.place + 1).where(
            walk.c.tenant.is_not(None), walk.c.place < bindparam(MOST, type_=Integer())
        )
    )


def _next_tenant(
    last: ColumnElement[Any], priority: ColumnElement[int], queue: ColumnElement[str]
) -> Select[*tuple[Any, ...]]:
    return (
        select(jobs.c.tenant)
        .where(*_waits(priority, queue), jobs.c.tenant > last)
        .order_by(jobs.c.tenant)
        .limit(_ONE)
    )


def _place(asked: Batch) -> tuple[ColumnElement[int], ColumnElement[str]]:
    return asked.integer("priority"), asked.text("queue")


def _waits(priority: ColumnElement[int], queue: ColumnElement[str]) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.next_ring_at.is_not(None), jobs.c.queue == queue, jobs.c.priority == priority


def _is_asked(asked: Batch, kind: str) -> ColumnElement[bool]:
    paused = exists().where(queue_pauses.c.queue == asked.text("queue"))
    return (asked.text("kind") == literal(kind, String)) & ~paused


def names(index: int) -> tuple[str, str, str, str]:
    """Return the parameters of an arm of `heads`: its priority, queue, tenant, and how many it may bring."""
    return f"priority_{index}", f"queue_{index}", f"tenant_{index}", f"most_{index}"


@lru_cache(maxsize=256)
def heads(
    worker_id: str, named: int, unnamed: int, *, spares_tasks: bool, spares_jobs: bool
) -> CompoundSelect[*tuple[Any, ...]]:
    """Lock the first jobs of so many groups with a tenant and, after them, so many without one.

    By due time, then id. Rows that another claimer is taking are passed over, and so is what is to be spared.
    """
    spared: list[ColumnElement[bool]] = []
    if spares_tasks:
        spared.append(jobs.c.task.not_in(bindparam(SPARED_TASKS, expanding=True, type_=String())))
    if spares_jobs:
        spared.append(jobs.c.id.not_in(bindparam(SPARED_JOBS, expanding=True, type_=String())))
    mine = (may_run(worker_id, apart=False), *spared)
    arms = [_head(index, mine, is_named=index < named) for index in range(named + unnamed)]
    return union_all(
        *(select(literal(index).label("arm"), arm.c.run_at, arm.c.id) for index, arm in enumerate(arms))
    )


def _head(index: int, mine: tuple[ColumnElement[bool], ...], *, is_named: bool) -> CTE:
    priority, queue, tenant, most = names(index)
    is_of = jobs.c.tenant == bindparam(tenant, type_=String()) if is_named else jobs.c.tenant.is_(None)
    return (
        select(jobs.c.id, jobs.c.run_at)
        .where(
            *_waits(bindparam(priority, type_=SmallInteger()), bindparam(queue, type_=String())),
            is_of,
            is_still(JobState.AVAILABLE),
            *mine,
        )
        .order_by(jobs.c.run_at, jobs.c.id)
        .limit(bindparam(most, type_=Integer()))
        .with_for_update(skip_locked=True, key_share=True)
        .cte(f"head_{index}")
    )
