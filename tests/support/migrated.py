"""Ledgers that are ready at once: the migrations run once in a session, and what they wrote is written again.

Fifteen revisions take Alembic longer than most tests take. The tests of the
migrations themselves, and whatever is not empty, go the real way.
"""

import sqlite3
import threading
import uuid
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Engine, event, make_url

from holdfast.ledger import LedgerConfig
from holdfast.ledger.upgrade import migrate

Statement = tuple[str, Any]

_READS: Final = ("SELECT", "PRAGMA", "BEGIN", "COMMIT")
_written: dict[tuple[str, str | None], list[Statement]] = {}


def migrated(config: LedgerConfig) -> LedgerConfig:
    """Give a database our tables and an identity of its own, as `migrate` does, and return its config."""
    url = make_url(config.url)
    kind = url.get_backend_name()
    schema = config.schema if kind == "postgresql" else None
    is_fresh = _is_fresh_schema(config) if kind == "postgresql" else _is_fresh_file(url.database)
    if not is_fresh or (kind == "postgresql" and schema is None):
        migrate(config)
    elif (kind, schema) not in _written:
        with _recorded() as statements:
            migrate(config)
        _written[kind, schema] = statements
    elif kind == "postgresql":
        _write_postgres(config, _written[kind, schema])
    else:
        _write_sqlite(Path(str(url.database)), _written[kind, schema])
    return config


@contextmanager
def _recorded() -> Generator[list[Statement]]:
    """Collect what this thread writes to any database."""
    statements: list[Statement] = []
    thread = threading.get_ident()

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        _, is_many = rest
        if threading.get_ident() == thread and not statement.lstrip().upper().startswith(_READS):
            statements.extend((statement, one) for one in (parameters if is_many else [parameters]))

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def _is_fresh_file(path: str | None) -> bool:
    return bool(path) and (not Path(str(path)).exists() or Path(str(path)).stat().st_size == 0)


def _is_fresh_schema(config: LedgerConfig) -> bool:
    with _session(config) as connection:
        found = connection.execute("SELECT to_regnamespace(%s)", (config.schema,)).fetchone()
    return found == (None,)


def _write_postgres(config: LedgerConfig, statements: list[Statement]) -> None:
    with _session(config) as connection, connection.transaction(), connection.cursor() as cursor:
        for statement, parameters in statements:
            cursor.execute(statement.encode(), parameters or None)
        for name, value in _identity():
            cursor.execute(
                f"UPDATE {config.schema}.meta SET value = %s WHERE name = %s".encode(),  # noqa: S608 -- the test's own schema
                (value, name),
            )


def _write_sqlite(path: Path, statements: list[Statement]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        for statement, parameters in statements:
            connection.execute(statement, parameters or ())
        for name, value in _identity():
            connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
        connection.execute("COMMIT")


def _identity() -> list[tuple[str, str]]:
    return [("ledger_id", str(uuid.uuid4())), ("epoch", uuid.uuid4().hex)]


def _session(config: LedgerConfig) -> psycopg.Connection:
    address = make_url(config.url).set(drivername="postgresql")
    return psycopg.connect(address.render_as_string(hide_password=False), autocommit=True)
