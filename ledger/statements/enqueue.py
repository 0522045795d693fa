"""The beginnings of jobs: rows, keys and tombstones."""

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Delete,
    Double,
    Insert,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    case,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.functions import coalesce

from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import job_keys, job_moments, jobs, tombstones
from holdfast.ledger.schema_tags import job_tags
from holdfast.ledger.statements.shape import named
from holdfast.ledger.types import Later, Now, now_plus

FIRST_RING_SECONDS: Final = 1.0
"""The stager rings a new job after this, if its producer did not (B9)."""
TOTAL_AGE_SECONDS: Final = "total_age_seconds"
_ZEROS: Final = (
    "attempt",
    "claims",
    "losses",
    "crashes",
    "deaths_alone",
    "wake_seq",
    "fence_incarnation",
    "fence_counter",
    "rings",
)


@cache
def add_jobs() -> Insert:
    """Write new jobs; an id that is known already is passed over."""
    rows = Batch()
    columns = _columns_of(rows)
    # SQLite takes ON CONFLICT after a SELECT only if that has a WHERE.
    source = select(*columns.values()).select_from(rows.rows).where(rows.text("id").is_not(None))
    return (
        insert(jobs)
        .from_select(list(columns), source)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(jobs.c.id, jobs.c.state)
    )


def _columns_of(rows: Batch) -> dict[str, ColumnElement[Any]]:
    # Available or scheduled is decided by the database's clock. The total age counts from the time at
    # which the job is due.
    run_at: ColumnElement[Any] = coalesce(rows.instant("run_at"), now_plus(rows.number("delay")))
    seconds = rows.number("deadline_seconds")
    deadline_at: ColumnElement[Any] = coalesce(
        rows.instant("deadline_at"), case((seconds.is_not(None), now_plus(seconds)))
    )
    due_at = case((run_at > Now(), run_at), else_=Now())
    expires_at = Later(due_at, bindparam(TOTAL_AGE_SECONDS, type_=Double()))
    refused = rows.text("reason").is_not(None)
    waiting_for = rows.text("waiting_for")
    available = and_(run_at <= Now(), waiting_for.is_(None))
    return {
        "id": rows.text("id"),
        "task": rows.text("task"),
        "version": rows.text("version"),
        "queue": rows.text("queue"),
        "state": case(
            (refused, named("quarantined")),
            (waiting_for.is_not(None), named("parked")),
            (available, named("available")),
            else_=named("scheduled"),
        ),
        "priority": rows.integer("priority"),
        "tenant": rows.text("tenant"),
        "principal": rows.text("principal"),
        "arguments": rows.text("arguments"),
        "trace": rows.text("trace"),
        "key": rows.text("key"),
        "soft_timeout_seconds": rows.number("soft_timeout_seconds"),
        "hard_timeout_seconds": rows.number("hard_timeout_seconds"),
        "cohort": rows.integer("cohort"),
        "tags": rows.text("tags"),
        "parent_id": rows.text("parent_id"),
        "child_group": rows.text("child_group"),
        "child_position": rows.integer("child_position"),
        "created_at": Now(),
        "run_at": run_at,
        "scheduled_for": rows.instant("scheduled_for"),
        "deadline_at": deadline_at,
        "expires_at": expires_at,
        "ends_at": case((deadline_at < expires_at, deadline_at), else_=expires_at),
        **{name: _zero() for name in _ZEROS},
        "generation": _one(),
        "moments": _one(),
        "ring_epoch": literal_column("''"),
        "finished_at": case((refused, Now())),
        "reason": rows.text("reason"),
        "detail": rows.text("detail"),
        "waiting_for": waiting_for,
        "unique_while": rows.text("unique_while"),
        "next_ring_at": case((refused, None), (available, now_plus(FIRST_RING_SECONDS))),
    }


@cache
def take_keys() -> Insert:
    """Take keys that are free or whose time is over; returns only those that are now ours."""
    rows = Batch()
    source = select(rows.text("digest"), rows.text("id"), now_plus(rows.number("seconds"))).where(
        rows.text("id").is_not(None)
    )
    statement = insert(job_keys).from_select(["digest", "job_id", "held_until"], source)
    return statement.on_conflict_do_update(
        index_elements=["digest"],
        set_={
            "job_id": statement.excluded.job_id,
            "held_until": statement.excluded.held_until,
            "became": None,
        },
        where=job_keys.c.held_until <= Now(),
    ).returning(job_keys.c.digest)


@cache
def point_keys() -> Update:
    """Let the idempotency keys of a batch, just taken, answer with the job that is there instead."""
    rows = Batch()
    return (
        job_keys.update()
        .values(job_id=rows.text("owner"))
        .where(job_keys.c.digest == rows.text("digest"), job_keys.c.job_id == rows.text("id"))
    )


@cache
def forget_keys() -> Delete:
    """Delete idempotency keys that were just taken for jobs that are not written after all."""
    rows = Batch()
    return job_keys.delete().where(job_keys.c.digest.in_(select(rows.text("digest"))))


@cache
def holders() -> Select[*tuple[Any, ...]]:
    """Read who holds the keys of a batch, and how their jobs stand or ended."""
    rows = Batch()
    return (
        select(job_keys.c.digest, job_keys.c.job_id, coalesce(jobs.c.state, job_keys.c.became).label("state"))
        .select_from(rows.rows.join(job_keys, job_keys.c.digest == rows.text("digest")))
        .outerjoin(jobs, jobs.c.id == job_keys.c.job_id)
    )


@cache
def states() -> Select[*tuple[Any, ...]]:
    """Read the states of the jobs of a batch."""
    return select(jobs.c.id, jobs.c.state).where(is_named(jobs.c.id))


def bury(job_id: str, digest: str, seconds: float) -> Insert:
    """Note an adopted message; an old note whose time is over is replaced. Returns the id if it is new."""
    statement = insert(tombstones).values(job_id=job_id, digest=digest, until=now_plus(seconds))
    return statement.on_conflict_do_update(
        index_elements=["job_id"],
        set_={"digest": statement.excluded.digest, "until": statement.excluded.until, "became": None},
        where=tombstones.c.until <= Now(),
    ).returning(tombstones.c.job_id)


def buried(job_id: str) -> Select[*tuple[Any, ...]]:
    """Read the digest of an adopted message."""
    return select(tombstones.c.digest, tombstones.c.became).where(tombstones.c.job_id == job_id)


@cache
def add_moments() -> Insert:
    """Write what happened to a batch of jobs."""
    rows = Batch()
    return job_moments.insert().from_select(
        ["job_id", "seq", "at", "kind", "state", "attempt", "detail"],
        select(
            rows.text("id"),
            rows.integer("seq"),
            Now(),
            rows.text("kind"),
            rows.text("state"),
            rows.integer("attempt"),
            rows.text("detail"),
        ),
    )


@cache
def add_tags() -> Insert:
    """Write what finds a batch of new jobs by their tags."""
    rows = Batch()
    return job_tags.insert().from_select(["job_id", "tag"], select(rows.text("id"), rows.text("tag")))


def _zero() -> ColumnElement[int]:
    return literal_column("0", Integer)


def _one() -> ColumnElement[int]:
    return literal_column("1", Integer)
