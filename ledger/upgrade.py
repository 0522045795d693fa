"""Bring a database's tables to this version's.

Apart from `revision.py`, since Alembic costs a worker ten megabytes that it never uses.
"""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from holdfast.jobs.errors import LedgerError
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.engine import checked_url, make_engine
from holdfast.ledger.revision import revision_of
from holdfast.ledger.translate import translated

CONNECTION: Final = "connection"
SCHEMA: Final = "schema"
TURN_SECONDS: Final = 120.0
"""How long one process waits for another one's migration."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(config: LedgerConfig) -> str:
    """Create or upgrade the tables, in one transaction, and return the revision.

    Safe when several processes do it at once: the second waits and finds the
    work done. Creates the PostgreSQL schema and the folder of a SQLite file.
    Raises LedgerUnavailable (try again) or LedgerError.
    """
    _make_folder(config)
    engine = make_engine(replace(config, statement_timeout_seconds=0.0, lock_timeout_seconds=TURN_SECONDS))
    schema = config.schema if engine.dialect.name == "postgresql" else None
    try:
        with engine.connect() as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                _take_turn(connection, schema)
            mapped = (
                connection.execution_options(schema_translate_map={None: schema}) if schema else connection
            )
            command.upgrade(alembic_config(mapped, schema), "head")
            return revision_of(connection, schema) or ""
    except SQLAlchemyError as error:
        raise translated(error, doing="migrate") from error
    finally:
        engine.dispose()


def alembic_config(connection: Connection, schema: str | None) -> Config:
    """Return Alembic's configuration without a file, for one open connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes[CONNECTION] = connection
    config.attributes[SCHEMA] = schema
    return config


def _take_turn(connection: Connection, schema: str | None) -> None:
    # Ends with the transaction, unlike a session's lock, also when the process dies.
    number = zlib.crc32(f"holdfast ledger {schema or ''}".encode())
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
    # Asked first: creating needs rights on the database, also where there is nothing to create.
    if schema and not inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema, if_not_exists=True))


def _make_folder(config: LedgerConfig) -> None:
    url = checked_url(config)
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        # Arguments and results stand there in clear.
        Path(url.database).touch(mode=0o600)
    except OSError as error:
        raise LedgerError(detail=f"the folder of {url.database} cannot be made: {error.strerror}") from error
