"""Jobs of which only so many may run at once say together with whom they are counted.

Revision 0008. Jobs that run already are counted under no limit.
"""

from typing import Final

from alembic import op
from sqlalchemy import Column, Integer, String, text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LONGEST: Final = 255
LARGEST: Final = 1_000_000_000
CHECKS: Final = {
    "limit_is_whole": (
        "limit_key IS NOT NULL AND limit_most IS NOT NULL OR limit_key IS NULL AND limit_most IS NULL"
    ),
    "limit_most": f"limit_most BETWEEN 1 AND {LARGEST}",
    "limit_key_size": f"length(limit_key) <= {LONGEST}",
}
INDEXES: Final = {
    "ix_jobs_in_turn": (["limit_key"], "limit_key IS NOT NULL AND state IN ('running', 'available')"),
    "ix_jobs_line": (
        ["limit_key", "priority", "run_at", "id"],
        "substr(waiting_for, 1, 6) = 'limit:'",
    ),
}


def upgrade() -> None:
    """Add the columns in place: the table may be large, and both databases can do it without a copy."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE jobs ADD COLUMN limit_key VARCHAR({LONGEST})")
        rules = " ".join(f"CONSTRAINT ck_jobs_{name} CHECK ({check})" for name, check in CHECKS.items())
        op.execute(f"ALTER TABLE jobs ADD COLUMN limit_most INTEGER {rules}")
    else:
        op.add_column("jobs", Column("limit_key", String(LONGEST)), schema=_schema())
        op.add_column("jobs", Column("limit_most", Integer), schema=_schema())
        for name, check in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_jobs_{name}"), "jobs", text(check), schema=_schema())
    for name, (columns, where) in INDEXES.items():
        condition = text(where)
        op.create_index(
            name,
            "jobs",
            columns,
            schema=_schema(),
            postgresql_where=condition,
            sqlite_where=condition,
        )


def downgrade() -> None:
    """Drop the columns: a job that waits for its turn waits until somebody wakes it."""
    for name in INDEXES:
        op.drop_index(name, "jobs", schema=_schema())
    # The second one first: on SQLite it holds the rules about both.
    for name in ("limit_most", "limit_key"):
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
        else:
            op.drop_column("jobs", name, schema=_schema())


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
