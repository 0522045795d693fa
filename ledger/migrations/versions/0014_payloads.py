"""Large arguments and results have a table of their own.

Revision 0014. What is there stays in the rows of its jobs.
"""

from typing import Final

from alembic import op
from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, String, Text

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

LONGEST_JOB_ID: Final = 255
LARGEST_BODY: Final = 64 * 1024 * 1024


def upgrade() -> None:
    """Make the table; no row of a job is touched."""
    op.create_table(
        "payloads",
        Column("job_id", String(LONGEST_JOB_ID), nullable=False),
        Column("digest", String(64), nullable=False),
        Column("body", Text, nullable=False),
        CheckConstraint(f"length(body) <= {LARGEST_BODY}", name=op.f("ck_payloads_body_size")),
        PrimaryKeyConstraint("job_id", "digest", name=op.f("pk_payloads")),
        schema=_schema(),
    )


def downgrade() -> None:
    """Drop it: jobs with large arguments or results have lost them."""
    op.drop_table("payloads", schema=_schema())


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
