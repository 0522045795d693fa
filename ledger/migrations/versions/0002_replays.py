"""Quarantined messages are kept with their envelope, and can be replayed.

Revision 0002. Rows that are there were kept without an envelope, and are not replayed.
"""

from typing import Final

from alembic import op
from sqlalchemy import Column, Integer, Text, column, or_

from holdfast.ledger.types import Instant, IsInstant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE: Final = "quarantined_messages"
CHECKS: Final = {
    "ck_quarantined_messages_replayed_at": or_(
        column("replayed_at").is_(None), IsInstant(column("replayed_at"))
    ),
    "ck_quarantined_messages_replays": column("replays").between(0, 1_000_000_000),
}


def upgrade() -> None:
    """Add the columns; on SQLite by a copy of the table, since it adds no CHECK to one that is there."""
    schema = op.get_context().opts.get("version_table_schema")
    with op.batch_alter_table(TABLE, schema=schema) as table:
        table.add_column(Column("envelope", Text))
        table.add_column(Column("replays", Integer, nullable=False, server_default="0"))
        table.add_column(Column("replayed_at", Instant))
        for name, check in CHECKS.items():
            table.create_check_constraint(op.f(name), check)


def downgrade() -> None:
    """Drop the columns, and with them the envelopes."""
    schema = op.get_context().opts.get("version_table_schema")
    with op.batch_alter_table(TABLE, schema=schema) as table:
        for name in CHECKS:
            table.drop_constraint(op.f(name), type_="check")
        for name in ("envelope", "replays", "replayed_at"):
            table.drop_column(name)
