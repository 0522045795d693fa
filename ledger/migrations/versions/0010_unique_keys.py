"""Unique jobs: a table of keys, and in each job in which states it holds its own.

Revision 0010.
"""

from typing import Final

from alembic import op
from sqlalchemy import CheckConstraint, Column, SmallInteger, String, column, or_, text

from holdfast.ledger.types import Instant, IsInstant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE: Final = "unique_keys"
COLUMN: Final = "unique_while"
LONGEST_NAME: Final = 255
RULE: Final = f"ck_jobs_{COLUMN}_size"
CHECK: Final = f"length({COLUMN}) <= {LONGEST_NAME}"


def upgrade() -> None:
    """Add both; jobs that are there hold no key."""
    held_until = or_(column("held_until").is_(None), IsInstant(column("held_until")))
    op.create_table(
        TABLE,
        Column("job_id", String(255), primary_key=True),
        Column("digest", String(64), nullable=False),
        Column("place", SmallInteger),
        Column("held_until", Instant),
        Column("became", String(16)),
        CheckConstraint(column("place").in_([1, 2]), name=op.f("ck_unique_keys_place")),
        CheckConstraint(held_until, name=op.f("ck_unique_keys_held_until")),
        schema=_schema(),
    )
    op.create_index("uq_unique_keys_digest_place", TABLE, ["digest", "place"], unique=True, schema=_schema())
    op.create_index("ix_unique_keys_held_until", TABLE, ["held_until"], schema=_schema())
    if op.get_bind().dialect.name == "sqlite":
        size = f"VARCHAR({LONGEST_NAME}) CONSTRAINT {RULE} CHECK ({CHECK})"
        op.execute(f"ALTER TABLE jobs ADD COLUMN {COLUMN} {size}")
        return
    op.add_column("jobs", Column(COLUMN, String(LONGEST_NAME)), schema=_schema())
    op.create_check_constraint(op.f(RULE), "jobs", text(CHECK), schema=_schema())


def downgrade() -> None:
    """Drop both: as many jobs as are asked for."""
    op.drop_table(TABLE, schema=_schema())
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE jobs DROP COLUMN {COLUMN}")
        return
    op.drop_column("jobs", COLUMN, schema=_schema())


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
