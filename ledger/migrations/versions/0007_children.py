"""Jobs have children: whose a job is and its place there, and what its parent waits for.

Revision 0007. Jobs that are there are nobody's children.
"""

from typing import Any, Final

from alembic import op
from sqlalchemy import Boolean, CheckConstraint, Column, Integer, String, Text, false, text
from sqlalchemy.types import TypeEngine

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LONGEST: Final = 255
LARGEST: Final = 1_000_000_000
CHECKS: Final = {
    "child_has_place": (
        "child_group IS NOT NULL AND child_position IS NOT NULL"
        " OR child_group IS NULL AND child_position IS NULL"
    ),
    "child_has_parent": "child_group IS NULL OR parent_id IS NOT NULL",
    "child_position": f"child_position BETWEEN 0 AND {LARGEST}",
    "parent_id_size": f"length(parent_id) <= {LONGEST}",
    "child_group_size": f"length(child_group) <= {LONGEST}",
}
COLUMNS: Final[dict[str, TypeEngine[Any]]] = {
    "parent_id": String(LONGEST),
    "child_group": String(LONGEST),
    "child_position": Integer(),
}
INDEXES: Final = {
    "ix_jobs_children": (["parent_id", "child_group", "child_position"], "parent_id IS NOT NULL"),
    "ix_jobs_open_children": (
        ["parent_id", "child_group"],
        "parent_id IS NOT NULL AND state IN ('scheduled', 'available', 'running', 'parked')",
    ),
    "ix_jobs_failed_children": (
        ["parent_id", "child_group"],
        "parent_id IS NOT NULL AND state IN ('cancelled', 'quarantined')",
    ),
    "ix_jobs_awaiting": (["id"], "substr(waiting_for, 1, 9) = 'children:'"),
}
BEREAVED: Final = "ix_jobs_bereaved"


def upgrade() -> None:
    """Add the columns in place: the table may be large, and both databases can do it without a copy."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        op.execute(f"ALTER TABLE jobs ADD COLUMN parent_id VARCHAR({LONGEST})")
        op.execute(f"ALTER TABLE jobs ADD COLUMN child_group VARCHAR({LONGEST})")
        # SQLite takes rules of a table only with a column.
        rules = " ".join(f"CONSTRAINT ck_jobs_{name} CHECK ({check})" for name, check in CHECKS.items())
        op.execute(f"ALTER TABLE jobs ADD COLUMN child_position INTEGER {rules}")
    else:
        for name, kind in COLUMNS.items():
            op.add_column("jobs", Column(name, kind), schema=_schema())
        for name, check in CHECKS.items():
            op.create_check_constraint(op.f(f"ck_jobs_{name}"), "jobs", text(check), schema=_schema())
    op.add_column(
        "jobs", Column("has_children", Boolean, nullable=False, server_default=false()), schema=_schema()
    )
    for name, (columns, where) in INDEXES.items():
        _create_index(name, columns, where)
    is_parent = "has_children = 1" if is_sqlite else "has_children"
    _create_index(BEREAVED, ["finished_at"], f"{is_parent} AND state IN ('cancelled', 'quarantined')")
    op.create_table(
        "gatherings",
        Column("parent_id", String(LONGEST), primary_key=True),
        Column("name", String(LONGEST), primary_key=True),
        Column("policy", String(16), nullable=False),
        Column("groups", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("generation", Integer, nullable=False),
        CheckConstraint("policy IN ('all', 'any', 'collect')", name="policy"),
        schema=_schema(),
    )


def downgrade() -> None:
    """Drop it all: children are jobs like any other again, and a parent that waits for some waits on."""
    op.drop_table("gatherings", schema=_schema())
    for name in (BEREAVED, *INDEXES):
        op.drop_index(name, "jobs", schema=_schema())
    # The last one of COLUMNS first: on SQLite it holds the rules about the others.
    for name in ("has_children", *reversed(COLUMNS)):
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
        else:
            op.drop_column("jobs", name, schema=_schema())


def _create_index(name: str, columns: list[str], where: str) -> None:
    condition = text(where)
    op.create_index(
        name,
        "jobs",
        columns,
        schema=_schema(),
        postgresql_where=condition,
        sqlite_where=condition,
    )


def _schema() -> str | None:
    schema: str | None = op.get_context().opts.get("version_table_schema")
    return schema
