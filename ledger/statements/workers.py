"""Workers: their rows, their beats and their deaths."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import Delete, Insert, Select, String, Update, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from holdfast.jobs.state import JobState
from holdfast.ledger.batch import Batch
from holdfast.ledger.schema import jobs, leaders, offers, workers
from holdfast.ledger.statements.shape import in_state
from holdfast.ledger.types import Now, now_plus

WHO: Final = "who"
"""The parameter that names a worker."""


def take_turn(name: str) -> Select[*tuple[Any, ...]]:
    """Wait for others who register under a name just now, so that who commits first is the older (B5).

    PostgreSQL's; a writer of SQLite is alone anyhow. Kept until the transaction ends.
    """
    return select(func.pg_advisory_xact_lock(func.hashtextextended(f"holdfast worker {name}", 0)))


def register(values: dict[str, Any]) -> Insert:
    """Write a worker's row; once written it stays as it is."""
    return (
        insert(workers)
        .values(**values, alive=True, beat_seq=0, started_at=Now(), seen_at=Now())
        .on_conflict_do_nothing(index_elements=["id"])
    )


@cache
def offer() -> Insert:
    """Write what a worker can run."""
    rows = Batch()
    source = select(
        rows.text("worker_id"),
        rows.text("task"),
        rows.text("version"),
        rows.text("queue"),
        rows.text("schema"),
        rows.integer("isolated") == 1,
    ).where(rows.text("task").is_not(None))
    return (
        insert(offers)
        .from_select(["worker_id", "task", "version", "queue", "schema", "isolated"], source)
        .on_conflict_do_nothing(index_elements=["worker_id", "task", "version"])
    )


@lru_cache(maxsize=64)
def beat(worker_id: str) -> Update:
    """Count one beat. Touches no key column, so that it never waits for a claim."""
    return (
        workers.update()
        .values(beat_seq=workers.c.beat_seq + 1, seen_at=Now())
        .where(workers.c.id == worker_id, workers.c.alive)
        .returning(workers.c.id)
    )


@lru_cache(maxsize=64)
def judge(worker_id: str, *, waits: bool) -> Select[*tuple[Any, ...]]:
    """Lock a worker's row against claims and beats before its end is decided (B3).

    `waits` for a claim under way; without, such a row is passed over and looked at again later.
    """
    row = select(workers.c.alive, workers.c.beat_seq).where(workers.c.id == worker_id)
    return row.with_for_update(skip_locked=not waits)


def end(worker_id: str, beat_seq: int | None) -> Update:
    """End a living worker; with a number, only if it has not beaten since."""
    statement = (
        workers.update()
        .values(alive=False, ended_at=Now())
        .where(workers.c.id == worker_id, workers.c.alive)
        .returning(workers.c.id)
    )
    return statement if beat_seq is None else statement.where(workers.c.beat_seq == beat_seq)


@lru_cache(maxsize=64)
def listed(*, alive_only: bool) -> Select[*tuple[Any, ...]]:
    """Read the workers, oldest first."""
    statement = select(workers).order_by(workers.c.started_at, workers.c.id)
    return statement.where(workers.c.alive) if alive_only else statement


@lru_cache(maxsize=64)
def offered() -> Select[*tuple[Any, ...]]:
    """Read what the living workers offer."""
    return (
        select(offers, workers.c.name)
        .join(workers, workers.c.id == offers.c.worker_id)
        .where(workers.c.alive)
        .order_by(offers.c.task, offers.c.version, workers.c.name, offers.c.worker_id)
    )


@lru_cache(maxsize=64)
def lead(role: str, seconds: float) -> Insert:
    """Take or keep a role for a time in the name of the worker WHO; returns a row if it is ours.

    A holder that has left or was declared dead holds nothing.
    """
    is_held = exists().where(workers.c.id == leaders.c.worker_id, workers.c.alive)
    statement = insert(leaders).values(
        role=role, worker_id=bindparam(WHO, type_=String()), until=now_plus(seconds)
    )
    return statement.on_conflict_do_update(
        index_elements=["role"],
        set_={"worker_id": statement.excluded.worker_id, "until": statement.excluded.until},
        where=(leaders.c.worker_id == statement.excluded.worker_id) | (leaders.c.until <= Now()) | ~is_held,
    ).returning(leaders.c.role)


@lru_cache(maxsize=64)
def bury_dead(seconds: float, limit: int) -> Delete:
    """Delete workers that ended long ago and hold nothing."""
    holds = exists().where(in_state(JobState.RUNNING), jobs.c.worker_id == workers.c.id)
    old = (
        select(workers.c.id)
        .where(~workers.c.alive, workers.c.ended_at <= now_plus(-seconds), ~holds)
        .limit(limit)
        .scalar_subquery()
    )
    return workers.delete().where(workers.c.id.in_(old))


@lru_cache(maxsize=64)
def drop_offers() -> Delete:
    """Delete the offers of workers that have no row any more."""
    return offers.delete().where(~exists().where(workers.c.id == offers.c.worker_id))
