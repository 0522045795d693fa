"""Jobs that are suspected of the death of a process run in isolated ones.

Revision 0003. Jobs that are there are suspected of nothing.
"""

from typing import Final

from alembic import op
from sqlalchemy import Boolean, Column, Integer, false, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LARGEST: Final = 1_000_000_000
INDEX: Final = "ix_jobs_apart"
CHECKS: Final = {
    "cohort": f"cohort BETWEEN 1 AND {LARGEST}",
    "crashes": f"crashes BETWEEN 0 AND {LARGEST}",
    "deaths_alone": f"deaths_alone BETWEEN 0 AND {LARGEST}",
}
COUNTERS: Final = ("crashes", "deaths_alone")


def upgrade() -> None:
    """Add the columns in place: the table may be large, and both databases can do it without a copy."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE jobs ADD COLUMN cohort INTEGER {_check('cohort')}")
        for name in COUNTERS:
            op.execute(f"ALTER TABLE jobs ADD COLUMN {name} INTEGER DEFAULT '0' NOT NULL {_check(name)}")
    else:
        schema = _schema()
        op.add_column("jobs", Column("cohort", Integer), schema=schema)
        for name in COUNTERS:
            op.add_column("jobs", Column(name, Integer, nullable=False, server_default="0"), schema=schema)
        for name, check in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_jobs_{name}"), "jobs", text(check), schema=schema)
    op.add_column(
        "offers", Column("isolated", Boolean, nullable=False, server_default=false()), schema=_schema()
    )
    waits = text("state = 'available' AND cohort IS NOT NULL")
    op.create_index(
        INDEX,
        "jobs",
        ["queue", "priority", "run_at", "id"],
        schema=_schema(),
        postgresql_where=waits,
        sqlite_where=waits,
    )


def downgrade() -> None:
    """Drop the columns: suspects run with all others again."""
    schema = _schema()
    op.drop_index(INDEX, "jobs", schema=schema)
    op.drop_column("offers", "isolated", schema=schema)
    if op.get_bind().dialect.name == "sqlite":
        for name in ("cohort", *COUNTERS):
            op.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
        return
    for name in ("cohort", *COUNTERS):
        op.drop_column("jobs", name, schema=schema)


def _check(name: str) -> str:
    return f"CONSTRAINT ck_jobs_{name} CHECK ({CHECKS[name]})"


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
