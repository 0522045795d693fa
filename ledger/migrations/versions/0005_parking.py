"""Parked jobs say in a column of its own what they wait for, and a released one carries its ticket.

Revision 0005. Rows that are parked wait for what their detail begins with.
"""

from collections.abc import Callable
from typing import Final

from alembic import op
from sqlalchemy import Column, ColumnElement, String, column, func, table, text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LONGEST_NAME: Final = 255
INDEX: Final = "ix_jobs_parked"
COLUMNS: Final = ("waiting_for", "ticket")
CHECKS: Final = {
    "parked_waits": (
        "state = 'parked' AND waiting_for IS NOT NULL OR state != 'parked' AND waiting_for IS NULL"
    ),
    "ticket_is_in_hand": "ticket IS NULL OR state IN ('available', 'running')",
    "waiting_for_size": f"length(waiting_for) <= {LONGEST_NAME}",
    "ticket_size": f"length(ticket) <= {LONGEST_NAME}",
}
WAITS: Final = text("substr(waiting_for, 1, 9) = 'upstream:'")
_COLON: Final = ": "


def upgrade() -> None:
    """Add the columns in place, and fill the first one before its rule is there."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE jobs ADD COLUMN waiting_for VARCHAR({LONGEST_NAME})")
        _fill(func.instr)
        # SQLite takes rules of a table only with a column, and holds the rows that are there against them.
        rules = " ".join(f"CONSTRAINT ck_jobs_{name} CHECK ({check})" for name, check in CHECKS.items())
        op.execute(f"ALTER TABLE jobs ADD COLUMN ticket VARCHAR({LONGEST_NAME}) {rules}")
    else:
        for name in COLUMNS:
            op.add_column("jobs", Column(name, String(LONGEST_NAME)), schema=_schema())
        _fill(func.strpos)
        for name, check in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_jobs_{name}"), "jobs", text(check), schema=_schema())
    op.create_index(
        INDEX,
        "jobs",
        ["waiting_for", "priority", "tenant", "run_at", "id"],
        schema=_schema(),
        postgresql_where=WAITS,
        sqlite_where=WAITS,
    )


def downgrade() -> None:
    """Drop the columns: what a parked job waits for stands in its detail alone again."""
    op.drop_index(INDEX, "jobs", schema=_schema())
    if op.get_bind().dialect.name == "sqlite":
        # The second one first: it holds the rules about both.
        for name in reversed(COLUMNS):
            op.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
        return
    for name in COLUMNS:
        op.drop_column("jobs", name, schema=_schema())


def _fill(place_of: Callable[[ColumnElement[str], str], ColumnElement[int]]) -> None:
    jobs = table("jobs", column("state"), column("detail"), column("waiting_for"), schema=_schema())
    detail = func.coalesce(jobs.c.detail, "")
    # A colon behind it: who gave no reason has none in it.
    before = func.substr(detail, 1, place_of(detail.concat(_COLON), _COLON) - 1)
    named = func.substr(before, 1, LONGEST_NAME)
    op.execute(jobs.update().values(waiting_for=named).where(jobs.c.state == "parked"))


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
