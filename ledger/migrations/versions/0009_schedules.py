"""Schedules: a table of their own, and the tick that a job is for.

Revision 0009. Jobs that are there are of no schedule.
"""

from collections.abc import Iterable
from typing import Any, Final

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    Integer,
    SmallInteger,
    String,
    Text,
    column,
    func,
    or_,
    text,
)

from holdfast.ledger.types import Instant, IsInstant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LONGEST_NAME: Final = 255
LONGEST_SCHEDULE: Final = 200
LONGEST_DETAIL: Final = 2000
LARGEST_BYTES: Final = 1024 * 1024
LARGEST_COUNT: Final = 1_000_000_000
TICK: Final = "scheduled_for"
INDEX: Final = "ix_schedules_due"
RUNS: Final = text("paused_at IS NULL")


def upgrade() -> None:
    """Create the table; add the column in place, as the table of jobs may be large."""
    bind, check = op.get_bind(), _is_instant(TICK)
    if bind.dialect.name == "sqlite":
        rule = check.compile(dialect=bind.dialect, compile_kwargs={"literal_binds": True})
        op.execute(f"ALTER TABLE jobs ADD COLUMN {TICK} VARCHAR(27) CONSTRAINT ck_jobs_{TICK} CHECK ({rule})")
    else:
        op.add_column("jobs", Column(TICK, Instant), schema=_schema())
        op.create_check_constraint(op.f(f"ck_jobs_{TICK}"), "jobs", check, schema=_schema())
    op.create_table(
        "schedules", *_columns(), *_checks(), schema=_schema(), postgresql_with={"fillfactor": 50}
    )
    op.create_index(
        INDEX, "schedules", ["next_tick"], schema=_schema(), postgresql_where=RUNS, sqlite_where=RUNS
    )


def downgrade() -> None:
    """Drop it all: nothing ticks, and the jobs of ticks are jobs like any other."""
    op.drop_table("schedules", schema=_schema())
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE jobs DROP COLUMN {TICK}")
    else:
        op.drop_column("jobs", TICK, schema=_schema())


def _columns() -> list[Column[Any]]:
    return [
        Column("name", String(LONGEST_NAME), primary_key=True),
        Column("task", String(LONGEST_NAME), nullable=False),
        Column("version", String(LONGEST_NAME), nullable=False),
        Column("queue", String(LONGEST_NAME), nullable=False),
        Column("priority", SmallInteger, nullable=False),
        Column("tenant", String(LONGEST_NAME)),
        Column("cohort", Integer),
        Column("arguments", Text, nullable=False),
        Column("deadline_seconds", Double),
        Column("rule", String(LONGEST_NAME), nullable=False),
        Column("zone", String(LONGEST_NAME), nullable=False),
        Column("missed", String(8), nullable=False),
        Column("anchor", Instant, nullable=False),
        Column("next_tick", Instant, nullable=False),
        Column("last_tick", Instant),
        Column("ticks", BigInteger, nullable=False, server_default="0"),
        Column("paused_at", Instant),
        Column("pause_reason", String(LONGEST_DETAIL), nullable=False, server_default=text("''")),
        Column("release", BigInteger, nullable=False),
        Column("source", String(8), nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("changed_at", Instant, nullable=False),
    ]


def _checks() -> list[CheckConstraint]:
    rules: dict[str, ColumnElement[bool]] = {
        "name_size": func.length(column("name")).between(1, LONGEST_SCHEDULE),
        "missed": _one_of("missed", ("all", "one", "skip")),
        "source": _one_of("source", ("code", "command")),
        "priority": column("priority").between(0, 9),
        "cohort": column("cohort").between(1, LARGEST_COUNT),
        "ticks": column("ticks") >= 0,
        "release": column("release") >= 0,
    }
    for name in ("task", "version", "queue", "tenant", "rule", "zone"):
        rules[f"{name}_size"] = func.length(column(name)) <= LONGEST_NAME
    rules["arguments_size"] = func.length(column("arguments")) <= LARGEST_BYTES
    rules["pause_reason_size"] = func.length(column("pause_reason")) <= LONGEST_DETAIL
    for name in ("anchor", "next_tick", "last_tick", "paused_at", "created_at", "changed_at"):
        rules[name] = _is_instant(name)
    return [CheckConstraint(rule, name=op.f(f"ck_schedules_{name}")) for name, rule in rules.items()]


def _one_of(name: str, words: Iterable[str]) -> ColumnElement[bool]:
    return column(name, String).in_(words)


def _is_instant(name: str) -> ColumnElement[bool]:
    return or_(column(name).is_(None), IsInstant(column(name)))


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
