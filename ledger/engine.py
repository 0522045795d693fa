"""Connections: pools and their timeouts for PostgreSQL, pragmas for SQLite.

Writers on SQLite begin with BEGIN IMMEDIATE: a transaction that reads first and
writes later fails with SQLITE_BUSY at once, however long the busy timeout (B28).
"""

import re
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from holdfast.jobs.errors import LedgerError
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.types import SQLITE_FORMAT, sqlite_clock_text

READS_ONLY: Final = "holdfast_reads_only"
"""Execution option of a connection whose transactions never write."""

IN_OUR_SCHEMA: Final = "holdfast_in_our_schema"
"""Execution option of a connection on which our tables need no schema name."""

_SCHEMA_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
IDLE_TRANSACTION_TIMEOUT: Final = "idle_in_transaction_session_timeout"
_HINT: Final = "Use postgresql+psycopg://user:password@host/database or sqlite:///path/to/file."


def make_engine(config: LedgerConfig, *, only_ours: bool = False) -> Engine:
    """Make an engine with a bounded pool. Connects to nothing yet; raises LedgerError for a wrong address.

    `only_ours`: its connections see our schema and no other, and carry the option IN_OUR_SCHEMA.
    """
    url = checked_url(config)
    options = _options(url, config)
    if only_ours and config.schema and is_postgresql(url) and not config.transaction_pooler:
        options["connect_args"]["options"] += f' -c search_path="{config.schema}"'
        options["execution_options"] = {IN_OUR_SCHEMA: True}
    engine = create_engine(url, poolclass=QueuePool, **options)
    _prepare(engine, config)
    return engine


def make_async_engine(config: LedgerConfig) -> AsyncEngine:
    """Make the twin for handlers on an event loop; belongs to the loop that first uses it."""
    url = checked_url(config)
    driver = "postgresql+psycopg" if is_postgresql(url) else "sqlite+aiosqlite"
    try:
        engine = create_async_engine(
            url.set(drivername=driver), poolclass=AsyncAdaptedQueuePool, **_options(url, config)
        )
    except ModuleNotFoundError as error:
        raise LedgerError(
            detail=f"asynchronous transactions need the driver {error.name}", hint=f"Install {error.name}."
        ) from error
    _prepare(engine.sync_engine, config)
    return engine


def checked_url(config: LedgerConfig) -> URL:
    """Read the address; raises LedgerError, without the address's password, if it is not one of ours."""
    try:
        url = make_url(config.url)
    except ArgumentError as error:
        raise LedgerError(detail="the address of the ledger is no SQLAlchemy address", hint=_HINT) from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "postgresql+psycopg":
        if config.schema is not None and not _SCHEMA_NAME.match(config.schema):
            raise LedgerError(
                detail=f"{config.schema!r} is no name for a schema",
                hint="Use letters, digits and underscores, at most 63, and no digit first.",
            )
        return url
    if url.get_backend_name() != "sqlite":
        raise LedgerError(detail=f"the ledger does not speak {url.drivername}", hint=_HINT)
    if url.database in {None, "", ":memory:"}:
        raise LedgerError(detail="a ledger in memory would be gone with the process", hint=_HINT)
    return url.set(drivername="sqlite")


def is_postgresql(url: URL) -> bool:
    """Tell which of the two databases an address means."""
    return url.get_backend_name() == "postgresql"


def _options(url: URL, config: LedgerConfig) -> dict[str, Any]:
    return {
        "pool_size": config.pool_size,
        "max_overflow": config.pool_overflow,
        "pool_timeout": config.pool_timeout_seconds,
        "connect_args": _postgresql(config) if is_postgresql(url) else _sqlite(config),
        # Parameters are arguments and results: never in an error's text or a log (G8).
        "hide_parameters": True,
    }


def _session_settings(config: LedgerConfig) -> dict[str, str]:
    return {
        "statement_timeout": str(round(config.statement_timeout_seconds * 1000)),
        "lock_timeout": str(round(config.lock_timeout_seconds * 1000)),
        # A frozen process must not keep its locks for ever.
        IDLE_TRANSACTION_TIMEOUT: str(config.idle_transaction_seconds * 1000),
        "timezone": "UTC",
    }


def _postgresql(config: LedgerConfig) -> dict[str, Any]:
    pairs = _session_settings(config).items()
    # A pooler that changes connections keeps neither a session's settings nor its prepared statements.
    kept = (
        {"prepare_threshold": None}
        if config.transaction_pooler
        else {"options": " ".join(f"-c {name}={value}" for name, value in pairs)}
    )
    return {
        **kept,
        "application_name": config.application_name,
        "connect_timeout": max(1, round(config.connect_timeout_seconds)),
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }


def _sqlite(config: LedgerConfig) -> dict[str, Any]:
    # isolation_level None: transactions begin when we say so, not when the driver guesses.
    return {"timeout": config.lock_timeout_seconds, "isolation_level": None, "check_same_thread": False}


def _prepare(engine: Engine, config: LedgerConfig) -> None:
    if engine.dialect.name != "sqlite":
        if config.transaction_pooler:
            event.listen(engine, "begin", _settings_for_each_transaction(config))
        return

    def set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {round(config.lock_timeout_seconds * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        if config.sqlite_now is not None:
            _set_clock(cast("sqlite3.Connection", connection), config.sqlite_now)

    event.listen(engine, "connect", set_pragmas)
    event.listen(engine, "begin", _begin)


def _set_clock(connection: sqlite3.Connection, now: Callable[[], datetime]) -> None:
    # SQLite lets a program define its functions, and the clock is one of two arguments (see types.py).
    def strftime(form: str, instant: str) -> str:
        if (form, instant) != (SQLITE_FORMAT, "now"):
            raise ValueError(f"the clock was asked for {instant} as {form}")
        return sqlite_clock_text(now())

    connection.create_function("strftime", 2, strftime, deterministic=True)


def _settings_for_each_transaction(config: LedgerConfig) -> Callable[[Connection], None]:
    settings = _session_settings(config)
    calls = ", ".join(f"set_config('{name}', :{name}, true)" for name in settings)
    statement = text(f"SELECT {calls}")

    def begin(connection: Connection) -> None:
        connection.execute(statement, settings)

    return begin


def _begin(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
