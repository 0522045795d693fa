"""What is available is read by class, queue and tenant.

Revision 0012. The index of claims is built anew; on a large ledger that takes a while.
"""

from typing import Final

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEX: Final = "ix_jobs_claim"


def upgrade() -> None:
    """Build it with the tenant."""
    _build(["queue", "priority", "tenant", "run_at", "id"], "next_ring_at IS NOT NULL")


def downgrade() -> None:
    """Build it as it was."""
    _build(["queue", "priority", "run_at", "id"], "state = 'available'")


def _build(columns: list[str], condition: str) -> None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    op.drop_index(INDEX, "jobs", schema=schema)
    available = text(condition)
    op.create_index(INDEX, "jobs", columns, schema=schema, postgresql_where=available, sqlite_where=available)
