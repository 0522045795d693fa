"""What a database's error means: the only place that knows the drivers' errors.

Three questions: is it worth repeating at once, is it the data's fault, and
what is it called outside.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from holdfast.jobs.errors import KeyBusy, LedgerError, LedgerUnavailable, SchemaMismatch

LONGEST_DETAIL: Final = 500
POOLER_HINT: Final = (
    "The address leads to a pooler that does not keep a session's settings, such as PgBouncer: "
    "set HOLDFAST_DATABASE_TRANSACTION_POOLER=true, or use PostgreSQL's own address."
)
_FROM_A_POOLER: Final = "unsupported startup parameter"


class Trouble(Enum):
    """Kinds of database errors, by what to do about them."""

    CONFLICT = "conflict"
    """Deadlock, serialization failure, a busy writer: the transaction is undone, repeat it."""
    CONNECTION = "connection"
    """The connection is gone; whether a COMMIT under way succeeded is unknown."""
    LOCKED = "locked"
    """Another transaction held a lock, or the statement ran, for too long: do not repeat at once."""
    DATA = "data"
    """This row cannot be written, now or ever; others in the batch can."""
    SCHEMA = "schema"
    """A table or column is missing."""
    OTHER = "other"


_CONFLICTS: Final = frozenset({"40001", "40P01"})
# lock_not_available and query_canceled: it waited long enough already.
_LOCKED: Final = frozenset({"55P03", "57014"})
_SCHEMA: Final = frozenset({"42P01", "42703", "3F000"})
_DATA_CLASSES: Final = frozenset({"22", "23", "54"})
# 08: connection; 57P: the server shuts down or starts; 53: out of connections, disk or memory.
_CONNECTION_CLASSES: Final = frozenset({"08", "53"})
_CONNECTION_STATES: Final = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25006"})


def trouble(error: SQLAlchemyError) -> Trouble:
    """Classify an error of the database or of its driver."""
    if isinstance(error, PoolTimeout):
        return Trouble.CONNECTION
    if not isinstance(error, DBAPIError):
        return Trouble.OTHER
    if _FROM_A_POOLER in str(error.orig):
        return Trouble.OTHER
    if error.connection_invalidated:
        return Trouble.CONNECTION
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return _by_sqlstate(state)
    if isinstance(error.orig, sqlite3.Error):
        return _by_sqlite(error.orig)
    if isinstance(error, IntegrityError | DataError):
        return Trouble.DATA
    # psycopg without a state: the server did not answer, so it is the connection.
    return Trouble.CONNECTION if isinstance(error, OperationalError | InterfaceError) else Trouble.OTHER


def translated(error: SQLAlchemyError, *, doing: str) -> LedgerError:
    """Return the public error for a database's error; raise it `from` the original."""
    # The driver's text, not SQLAlchemy's, which would add the parameters: arguments and results (G8).
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]
    detail = f"{doing}: {said}"[:LONGEST_DETAIL]
    kind = trouble(error)
    if kind is Trouble.SCHEMA:
        return SchemaMismatch(detail=detail)
    if kind in {Trouble.CONFLICT, Trouble.CONNECTION, Trouble.LOCKED}:
        return LedgerUnavailable(detail=detail)
    return LedgerError(detail=detail, hint=POOLER_HINT if _FROM_A_POOLER in said else "")


@contextmanager
def translated_outages(doing: str) -> Generator[None]:
    """Turn what says that the database is away into LedgerUnavailable, and let everything else pass."""
    try:
        yield
    except SQLAlchemyError as error:
        if trouble(error) is Trouble.CONNECTION:
            raise translated(error, doing=doing) from error
        raise


@contextmanager
def rivals_named(*, is_ours: bool) -> Generator[None]:
    """Raise KeyBusy when a key cannot be had because of another transaction."""
    try:
        yield
    except SQLAlchemyError as error:
        kind = trouble(error)
        # Our own transaction is repeated after a conflict; the caller's is not ours to repeat.
        if kind is Trouble.LOCKED or (kind is Trouble.CONFLICT and not is_ours):
            raise KeyBusy(detail="the rival is still open, or not visible to this transaction") from error
        raise


def _by_sqlstate(state: str) -> Trouble:
    if state in _CONFLICTS:
        return Trouble.CONFLICT
    if state in _LOCKED:
        return Trouble.LOCKED
    if state in _SCHEMA:
        return Trouble.SCHEMA
    if state[:2] in _DATA_CLASSES:
        return Trouble.DATA
    if state[:2] in _CONNECTION_CLASSES or state in _CONNECTION_STATES:
        return Trouble.CONNECTION
    return Trouble.OTHER


def _by_sqlite(error: sqlite3.Error) -> Trouble:
    # Extended codes carry the primary one in their low byte.
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Trouble.CONFLICT
    if primary in {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_RANGE,
    }:
        return Trouble.DATA
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return Trouble.DATA
    text = str(error)
    if "no such table" in text or "no such column" in text or "has no column" in text:
        return Trouble.SCHEMA
    if primary in {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }:
        return Trouble.CONNECTION
    return Trouble.OTHER
