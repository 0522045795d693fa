"""A paused queue says why; the number of a dropped message is given to no other one.

Revision 0004. Queues that are paused were paused without a reason.
"""

from typing import Final

from alembic import op
from sqlalchemy import Column, String, text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LONGEST_DETAIL: Final = 2000
MESSAGES: Final = "quarantined_messages"


def upgrade() -> None:
    """Add the column; on SQLite, copy the few messages into a table that counts on by itself."""
    op.add_column(
        "queue_pauses",
        Column("reason", String(LONGEST_DETAIL), nullable=False, server_default=text("''")),
        schema=_schema(),
    )
    _copy_messages(counts_on=True)


def downgrade() -> None:
    """Drop the reasons."""
    _copy_messages(counts_on=False)
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
