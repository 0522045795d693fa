"""Queues say why they are paused, workers whether they have a lane; no message gets a dropped one's number.

Revision 0004. Queues that are paused were paused without a reason. A worker that does not say whether it has
a lane is of an older version, and counts as one with a lane, which is what the settings say by default.
"""

from typing import Final

from alembic import op
from sqlalchemy import Boolean, Column, String, text, true

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LONGEST_DETAIL: Final = 2000
MESSAGES: Final = "quarantined_messages"


def upgrade() -> None:
    """Add the columns; on SQLite, copy the few messages into a table that counts on by itself."""
    op.add_column(
        "queue_pauses",
        Column("reason", String(LONGEST_DETAIL), nullable=False, server_default=text("''")),
        schema=_schema(),
    )
    op.add_column(
        "workers", Column("has_lane", Boolean, nullable=False, server_default=true()), schema=_schema()
    )
    _copy_messages(counts_on=True)


def downgrade() -> None:
    """Drop the columns: jobs wait for a lane without a word again."""
    _copy_messages(counts_on=False)
    op.drop_column("workers", "has_lane", schema=_schema())
    op.drop_column("queue_pauses", "reason", schema=_schema())


def _copy_messages(*, counts_on: bool) -> None:
    # PostgreSQL's sequences never give a number twice.
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table(
            MESSAGES, recreate="always", table_kwargs={"sqlite_autoincrement": counts_on}
        ):
            pass


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
