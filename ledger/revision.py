"""Which revision the tables are at, and whether this program can work with it."""

from typing import Final

from sqlalchemy import Connection, column, inspect, select, table

from holdfast.jobs.errors import SchemaMismatch

HEAD: Final = "0014"
"""The revision that this version of the program works with; a test holds it against the files."""
VERSION_TABLE: Final = "ledger_revision"


def revision_of(connection: Connection, schema: str | None) -> str | None:
    """Return the revision that the tables are at, or None if there are none."""
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    versions = table(VERSION_TABLE, column("version_num"), schema=schema)
    return connection.execute(select(versions.c.version_num)).scalar()


def check_revision(revision: str | None) -> None:
    """Raise SchemaMismatch unless the tables are this version's."""
    if revision is None:
        raise SchemaMismatch(detail="the database has no ledger yet")
    if revision > HEAD:
        raise SchemaMismatch(
            detail=f"the tables are at revision {revision}, this program knows {HEAD}",
            hint="Use the newer version of Holdfast that migrated them.",
        )
    if revision != HEAD:
        raise SchemaMismatch(detail=f"the tables are at revision {revision}, this program needs {HEAD}")
