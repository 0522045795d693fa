"""Alembic's environment: runs the revisions on the connection that `holdfast.ledger.upgrade` opened."""

from alembic import context

from holdfast.ledger.revision import VERSION_TABLE
from holdfast.ledger.schema_rules import metadata
from holdfast.ledger.upgrade import CONNECTION, SCHEMA

_attributes = context.config.attributes

context.configure(
    connection=_attributes[CONNECTION],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=_attributes.get(SCHEMA),
    # SQLite can do it too; the transaction is already open.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
