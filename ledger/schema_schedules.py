"""The table of schedules: what each of their ticks becomes, and when the next one is."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    column,
    func,
    text,
)

from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from holdfast.jobs.schedules import definition
from holdfast.jobs.schedules.definition import Source
from holdfast.jobs.schedules.missed import Missed
from holdfast.ledger.schema_rules import (
    LARGEST_COUNT,
    LONGEST_DETAIL,
    LONGEST_NAME,
    instants,
    metadata,
    one_of,
    texts,
)
from holdfast.ledger.types import Instant

schedules: Final = Table(
    "schedules",
    metadata,
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
    # Intervals count from it.
    Column("anchor", Instant, nullable=False),
    # The one instant that says which tick is the next: who moves it on fires the tick (B23).
    Column("next_tick", Instant, nullable=False),
    Column("last_tick", Instant),
    # How many jobs its ticks became.
    Column("ticks", BigInteger, nullable=False, server_default="0"),
    Column("paused_at", Instant),
    Column("pause_reason", String(LONGEST_DETAIL), nullable=False, server_default=text("''")),
    # Of the code that declared it: a lower one changes nothing (B21).
    Column("release", BigInteger, nullable=False),
    Column("source", String(8), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint(func.length(column("name")).between(1, definition.LONGEST_NAME), name="name_size"),
    CheckConstraint(one_of("missed", Missed), name="missed"),
    CheckConstraint(one_of("source", Source), name="source"),
    CheckConstraint(column("priority").between(HIGHEST_PRIORITY, LOWEST_PRIORITY), name="priority"),
    CheckConstraint(column("cohort").between(1, LARGEST_COUNT), name="cohort"),
    CheckConstraint(column("ticks") >= 0, name="ticks"),
    CheckConstraint(column("release") >= 0, name="release"),
    *texts(LARGEST_BYTES, "arguments"),
    *texts(LONGEST_NAME, "task", "version", "queue", "tenant", "rule", "zone"),
    *texts(LONGEST_DETAIL, "pause_reason"),
    *instants("anchor", "next_tick", "last_tick", "paused_at", "created_at", "changed_at"),
    # Most changes are of its ticks.
    postgresql_with={"fillfactor": 50},
)

_runs: Final = schedules.c.paused_at.is_(None)
Index("ix_schedules_due", schedules.c.next_tick, postgresql_where=_runs, sqlite_where=_runs)
