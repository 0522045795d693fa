"""Statements about schedules. Each change is a compare-and-set: two leaders at once fire no tick twice."""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Delete, Insert, Select, String, Update, and_, bindparam, case, select
from sqlalchemy.dialects.postgresql import Insert as Upsert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningDelete

from holdfast.jobs.schedules.definition import Source
from holdfast.ledger.batch import Batch
from holdfast.ledger.schema_schedules import schedules
from holdfast.ledger.statements.shape import named
from holdfast.ledger.types import Now, SecondsBetween

RELEASE: Final = "the_release"
NAMES: Final = "the_names"
TASKS: Final = "the_tasks"
_TEXTS: Final = (
    "name",
    "task",
    "version",
    "queue",
    "tenant",
    "arguments",
    "rule",
    "zone",
    "missed",
    "source",
)
_NUMBERS: Final = ("priority", "cohort", "deadline_seconds", "release")


@lru_cache(maxsize=64)
def due(limit: int) -> Select[*tuple[Any, ...]]:
    """Lock the schedules whose next tick has come, earliest first, and read the clock."""
    return (
        select(schedules, Now().label("now"))
        .where(schedules.c.paused_at.is_(None), schedules.c.next_tick <= Now())
        .order_by(schedules.c.next_tick, schedules.c.name)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


@cache
def next_due() -> Select[*tuple[Any, ...]]:
    """Read in how many seconds the next tick of all is."""
    first = (
        select(schedules.c.next_tick)
        .where(schedules.c.paused_at.is_(None))
        .order_by(schedules.c.next_tick)
        .limit(1)
    )
    return select(SecondsBetween(Now(), first.scalar_subquery()))


@cache
def advance() -> Update:
    """Move each schedule of a batch on from its tick, if that is still the next one (B23)."""
    rows = Batch()
    return (
        schedules.update()
        .values(
            next_tick=rows.instant("next_tick"),
            last_tick=case(
                (rows.text("last_tick").is_not(None), rows.instant("last_tick")), else_=schedules.c.last_tick
            ),
            ticks=schedules.c.ticks + rows.integer("count"),
        )
        .where(
            schedules.c.name == rows.text("name"),
            schedules.c.next_tick == rows.instant("tick"),
            schedules.c.paused_at.is_(None),
        )
        .returning(schedules.c.name)
    )


@cache
def clock() -> Select[*tuple[Any, ...]]:
    """Read the database's clock."""
    return select(Now().label("now"))


@lru_cache(maxsize=2)
def add(*, replace: bool) -> Insert:
    """Write a batch; a name that is there is passed over, or written over with its counts kept."""
    statement = _insert()
    if not replace:
        return statement.on_conflict_do_nothing(index_elements=["name"]).returning(schedules.c.name)
    return statement.on_conflict_do_update(index_elements=["name"], set_=_written_over(statement)).returning(
        schedules.c.name
    )


@cache
def declare() -> Insert:
    """Write what a release of the code declares over what lower releases did, and over nothing else (B21)."""
    statement = _insert()
    return statement.on_conflict_do_update(
        index_elements=["name"],
        set_=_written_over(statement),
        where=and_(
            schedules.c.source == named(Source.CODE.value), schedules.c.release < statement.excluded.release
        ),
    ).returning(schedules.c.name)


@cache
def withdraw() -> ReturningDelete[*tuple[Any, ...]]:
    """Delete what lower releases declared for these tasks, and this one does not."""
    names = bindparam(NAMES, expanding=True, type_=String())
    tasks = bindparam(TASKS, expanding=True, type_=String())
    return (
        schedules.delete()
        .where(
            schedules.c.source == named(Source.CODE.value),
            schedules.c.release < bindparam(RELEASE, type_=schedules.c.release.type),
            schedules.c.task.in_(tasks),
            schedules.c.name.not_in(names),
        )
        .returning(schedules.c.name)
    )


@cache
def listed() -> Select[*tuple[Any, ...]]:
    """Read all of them, by name."""
    return select(schedules).order_by(schedules.c.name)


def one(name: str, *, locks: bool = False) -> Select[*tuple[Any, ...]]:
    """Read one, and the clock; `locks` it for a change."""
    statement = select(schedules, Now().label("now")).where(schedules.c.name == name)
    return statement.with_for_update() if locks else statement


def pause(name: str, reason: str) -> Update:
    """Stop the ticks of one; the first reason stays."""
    return (
        schedules.update()
        .values(paused_at=Now(), pause_reason=reason)
        .where(schedules.c.name == name, schedules.c.paused_at.is_(None))
    )


def resume(name: str, next_tick: Any) -> Update:  # noqa: ANN401 -- an instant
    """Let one tick again, from this tick on."""
    return (
        schedules.update()
        .values(paused_at=None, pause_reason="", next_tick=next_tick)
        .where(schedules.c.name == name, schedules.c.paused_at.is_not(None))
    )


def remove(name: str) -> Delete:
    """Delete one."""
    return schedules.delete().where(schedules.c.name == name)


def _insert() -> Upsert:
    rows = Batch()
    columns: dict[str, ColumnElement[Any]] = {name: rows.text(name) for name in _TEXTS}
    columns |= {
        "priority": rows.integer("priority"),
        "cohort": rows.integer("cohort"),
        "deadline_seconds": rows.number("deadline_seconds"),
        "release": rows.large_integer("release"),
        "anchor": rows.instant("anchor"),
        "next_tick": rows.instant("next_tick"),
        "created_at": Now(),
        "changed_at": Now(),
    }
    # SQLite takes ON CONFLICT after a SELECT only if that has a WHERE.
    source = select(*columns.values()).select_from(rows.rows).where(rows.text("name").is_not(None))
    return insert(schedules).from_select(list(columns), source)


def _written_over(statement: Upsert) -> dict[str, Any]:
    new = statement.excluded
    is_same = and_(schedules.c.rule == new.rule, schedules.c.zone == new.zone)
    changed = {name: new[name] for name in (*_TEXTS, *_NUMBERS) if name != "name"}
    return {
        **changed,
        "changed_at": Now(),
        "anchor": case((is_same, schedules.c.anchor), else_=new.anchor),
        "next_tick": case((is_same, schedules.c.next_tick), else_=new.next_tick),
    }
