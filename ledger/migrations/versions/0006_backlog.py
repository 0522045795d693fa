"""Jobs that are parked are counted by queue: those that wait for an upstream belong to its backlog.

Revision 0006.
"""

from typing import Final

from alembic import op
from sqlalchemy import text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEX: Final = "ix_jobs_backlog"
WAITS: Final = text("waiting_for IS NOT NULL")


def upgrade() -> None:
    """Add an index that holds parked jobs alone: it costs nothing before one is parked."""
    op.create_index(
        INDEX,
        "jobs",
        ["queue", "priority"],
        schema=_schema(),
        postgresql_where=WAITS,
        sqlite_where=WAITS,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index(INDEX, "jobs", schema=_schema())


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
