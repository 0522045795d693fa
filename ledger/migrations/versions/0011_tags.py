"""Jobs have tags, and are listed newest first by an index.

Revision 0011. Jobs that are there have no tags.
"""

from typing import Final

from alembic import op
from sqlalchemy import Column, PrimaryKeyConstraint, String, Text, text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LONGEST_TAGS: Final = 4000
LONGEST_TAG: Final = 64
LONGEST_JOB_ID: Final = 255
CREATED: Final = "ix_jobs_created"
BY_TAG: Final = "ix_job_tags_tag_job_id"
CHECK: Final = f"length(tags) <= {LONGEST_TAGS}"


def upgrade() -> None:
    """Add the column in place: the table may be large, and both databases can do it without a copy."""
    schema = _schema()
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE jobs ADD COLUMN tags TEXT CONSTRAINT ck_jobs_tags_size CHECK ({CHECK})")
    else:
        op.add_column("jobs", Column("tags", Text), schema=schema)
        op.create_check_constraint(op.f("ck_jobs_tags_size"), "jobs", text(CHECK), schema=schema)
    op.create_index(CREATED, "jobs", ["created_at"], schema=schema)
    op.create_table(
        "job_tags",
        Column("job_id", String(LONGEST_JOB_ID), nullable=False),
        Column("tag", String(LONGEST_TAG), nullable=False),
        PrimaryKeyConstraint("job_id", "tag", name=op.f("pk_job_tags")),
        schema=schema,
    )
    op.create_index(BY_TAG, "job_tags", ["tag", "job_id"], schema=schema)


def downgrade() -> None:
    """Drop them: the tags are gone."""
    schema = _schema()
    op.drop_table("job_tags", schema=schema)
    op.drop_index(CREATED, "jobs", schema=schema)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("ALTER TABLE jobs DROP COLUMN tags")
    else:
        op.drop_column("jobs", "tags", schema=schema)


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
