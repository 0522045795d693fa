"""Limits on how many run at once: counted in the rows that run, under a lock for each key.

A running row is the lease of its place. Nothing else is kept, so no crash can lose a place.
"""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    String,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)

from holdfast.jobs.concurrency import LIMIT, TURN
from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import jobs, queue_pauses, workers
from holdfast.ledger.statements.maintenance import is_runnable
from holdfast.ledger.statements.shape import in_state, named
from holdfast.ledger.types import Now, OneOfIds

KEYS: Final = "keys"
KEY: Final = "key"
PLACES: Final = "places"

_holder: Final = jobs.alias("holder")
_first: Final = jobs.alias("first")


@cache
def lock_keys() -> Select[*tuple[Any, ...]]:
    """Let nobody else count for the keys of a batch before this transaction ends; PostgreSQL alone needs it.

    In the order of what is locked, so that two batches cannot block each other.
    """
    rows = Batch()
    place = func.hashtextextended(rows.text("key"), literal_column("0"))
    each = select(place.label("place")).distinct()
    wanted = each.order_by(literal_column("1")).offset(0).subquery("wanted")
    return select(func.pg_advisory_xact_lock(wanted.c.place))


@cache
def note_keys() -> Update:
    """Write onto the jobs of a batch what they are counted under, and how many may run."""
    rows = Batch()
    return (
        jobs.update()
        .values(limit_key=rows.text("key"), limit_most=rows.integer("most"))
        .where(jobs.c.id == rows.text("id"), is_named(jobs.c.id))
    )


@cache
def running() -> Select[*tuple[Any, ...]]:
    """Count the running jobs of each key."""
    keys = OneOfIds(jobs.c.limit_key, bindparam(KEYS, type_=Text()))
    return (
        select(jobs.c.limit_key, func.count().label("running"))
        .where(keys, _counts(jobs), in_state(JobState.RUNNING))
        .group_by(jobs.c.limit_key)
    )


@lru_cache(maxsize=2)
def free_places(*, of_keys: bool) -> Select[*tuple[Any, ...]]:
    """Read how many places are free under each key that somebody waits for; NULL where nobody does.

    The first in line says how many there are: a row under each key, however many wait.
    """
    if of_keys:
        asked = Batch()
        keys = select(asked.text("key").label("key")).select_from(asked.rows).cte("keys")
    else:
        keys = select(jobs.c.limit_key.label("key")).where(_waits_for_turn(jobs)).distinct().cte("keys")
    most = (
        select(_first.c.limit_most)
        .where(_first.c.limit_key == keys.c.key, _waits_for_turn(_first))
        .order_by(_first.c.priority, _first.c.run_at, _first.c.id)
        .limit(1)
        .correlate(keys)
        .scalar_subquery()
    )
    return select(keys.c.key, (most - _places_taken(keys.c.key)).label("places"))


@cache
def first_in_line() -> Select[*tuple[Any, ...]]:
    """Read who is first in line for a key's places: by priority, then due time.

    In the index's order, so that it ends with the last place. Who could not run now takes none.
    """
    paused = exists().where(queue_pauses.c.queue == jobs.c.queue)
    # Within a CASE it stays a question about each row: PostgreSQL would join and sort all that wait.
    can_run = case((and_(~paused, is_runnable()), true()), else_=false())
    return (
        select(jobs.c.id)
        .where(jobs.c.limit_key == bindparam(KEY, type_=String()), _waits_for_turn(jobs))
        .where(jobs.c.ends_at > Now(), can_run)
        .order_by(jobs.c.priority, jobs.c.run_at, jobs.c.id)
        .limit(bindparam(PLACES, type_=Integer()))
    )


@cache
def books() -> Select[*tuple[Any, ...]]:
    """Read, for each key, how many run, how many may, and how many are held by no living worker."""
    lives = exists().where(workers.c.id == jobs.c.worker_id, workers.c.alive)
    return (
        select(
            jobs.c.limit_key,
            func.max(jobs.c.limit_most).label("most"),
            func.count().label("running"),
            func.sum(case((lives, 0), else_=1)).label("left"),
        )
        .where(_counts(jobs), in_state(JobState.RUNNING))
        .group_by(jobs.c.limit_key)
    )


def _places_taken(key: ColumnElement[str]) -> ColumnElement[int]:
    # Whose turn has come, and who does not run yet, has a place; one that stands in a paused queue has none.
    paused = exists().where(queue_pauses.c.queue == _holder.c.queue)
    is_available = _holder.c.state == named(JobState.AVAILABLE.value)
    has_turn = and_(is_available, _holder.c.ticket == named(TURN), ~paused)
    runs = _holder.c.state == named(JobState.RUNNING.value)
    taken = select(func.count()).where(_holder.c.limit_key == key, _counts(_holder), or_(runs, has_turn))
    return cast(taken.scalar_subquery(), Integer)


def _counts(table: FromClause) -> ColumnElement[bool]:
    # The words of the index, in its order: SQLite takes it for no others.
    words = [named(JobState.RUNNING.value), named(JobState.AVAILABLE.value)]
    return and_(table.c.limit_key.is_not(None), table.c.state.in_(words))


def _waits_for_turn(table: FromClause) -> ColumnElement[bool]:
    begins = func.substr(table.c.waiting_for, literal_column("1"), literal_column(str(len(LIMIT))))
    return begins == literal_column(f"'{LIMIT}'", String)
