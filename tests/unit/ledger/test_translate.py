"""What a driver's error means, and what of it is repeated."""

import sqlite3
from contextlib import closing

import psycopg.errors
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from holdfast.jobs.errors import LedgerError, LedgerUnavailable, SchemaMismatch
from holdfast.ledger.transaction import MOST_TRIES, DataRefused, Transactions
from holdfast.ledger.translate import Trouble, translated, trouble

CASES = [
    (psycopg.errors.DeadlockDetected("x"), Trouble.CONFLICT, LedgerUnavailable),
    (psycopg.errors.SerializationFailure("x"), Trouble.CONFLICT, LedgerUnavailable),
    (psycopg.errors.LockNotAvailable("x"), Trouble.LOCKED, LedgerUnavailable),
    (psycopg.errors.QueryCanceled("x"), Trouble.LOCKED, LedgerUnavailable),
    (psycopg.errors.AdminShutdown("x"), Trouble.CONNECTION, LedgerUnavailable),
    (psycopg.errors.TooManyConnections("x"), Trouble.CONNECTION, LedgerUnavailable),
    (psycopg.errors.ReadOnlySqlTransaction("x"), Trouble.CONNECTION, LedgerUnavailable),
    (psycopg.errors.UntranslatableCharacter("x"), Trouble.DATA, LedgerError),
    (psycopg.errors.CheckViolation("x"), Trouble.DATA, LedgerError),
    (psycopg.errors.UndefinedTable("x"), Trouble.SCHEMA, SchemaMismatch),
    (psycopg.errors.InsufficientPrivilege("x"), Trouble.OTHER, LedgerError),
    (psycopg.OperationalError("the server closed the connection"), Trouble.CONNECTION, LedgerUnavailable),
]


@pytest.mark.parametrize(
    ("error", "kind", "public"), CASES, ids=lambda value: getattr(type(value), "__name__", None)
)
def test_postgresql(error, kind, public):
    """Each of PostgreSQL's errors has its meaning, and its translation holds neither statement nor values."""
    found = OperationalError("SECRET SQL", {"secret": 1}, error)
    assert kind is trouble(found)
    said = translated(found, doing="try")
    assert public is type(said)
    assert "secret" not in str(said).lower()


def test_broken_connection():
    """An invalidated connection is a connection's trouble, whatever the text; so is an empty pool."""
    broken = OperationalError("x", {}, psycopg.errors.CheckViolation("x"), connection_invalidated=True)
    assert Trouble.CONNECTION is trouble(broken)
    assert Trouble.CONNECTION is trouble(PoolTimeout("none free"))


@pytest.fixture
def transactions(tmp_path):
    """Transactions on a small database, without real waits."""
    engine = create_engine(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    yield Transactions(engine, schema=None, pause=lambda seconds: None)
    engine.dispose()


def conflict() -> OperationalError:
    """Two writers met."""
    return OperationalError("x", {}, psycopg.errors.DeadlockDetected("x"))


def test_conflicts_are_repeated(transactions):
    """A conflict is repeated until it is over."""
    tries = []

    def work(connection):
        tries.append(connection)
        if len(tries) < 4:
            raise conflict()
        return "done"

    assert "done" == transactions.write(work, doing="try")
    assert 4 == len(tries)


def test_not_for_ever(transactions):
    """A conflict that does not end is LedgerUnavailable, after a few tries."""
    tries = []

    def work(connection):
        tries.append(connection)
        raise conflict()

    with pytest.raises(LedgerUnavailable):
        transactions.write(work, doing="try")
    assert MOST_TRIES == len(tries)


def test_broken_connection_is_repeated_once(transactions):
    """Work whose connection broke is done again on a fresh one, once."""
    tries = []

    def work(connection):
        tries.append(connection)
        raise OperationalError("x", {}, psycopg.OperationalError("gone"), connection_invalidated=True)

    with pytest.raises(LedgerUnavailable):
        transactions.write(work, doing="try")
    assert 2 == len(tries)


def test_data_errors_are_not_repeated(transactions):
    """What the database refuses is told at once: to those who split batches, and to the rest."""

    def work(connection):
        connection.execute(text("CREATE TABLE IF NOT EXISTS t (n INTEGER CHECK (n > 0))"))
        connection.execute(text("INSERT INTO t VALUES (0)"))

    with pytest.raises(DataRefused, match="CHECK"):
        transactions.write(work, doing="try", tells_data=True)
    with pytest.raises(LedgerError, match="CHECK"):
        transactions.write(work, doing="try")


def test_apart(transactions):
    """A batch is split until only the bad ones are left out."""

    def insert(connection, numbers):
        connection.execute(text("INSERT INTO t VALUES (:n)"), [{"n": number} for number in numbers])
        return list(numbers)

    def work(connection):
        connection.execute(text("CREATE TABLE t (n INTEGER CHECK (n > 0))"))
        return transactions.apart(connection, [1, 2, 0, 4, -1, 6, 7], insert)

    done, refused = transactions.write(work, doing="try")
    assert [1, 2, 4, 6, 7] == done
    assert [0, -1] == [number for number, _ in refused]


def test_sqlite_errors():
    """SQLite's errors have their meaning too."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (n INTEGER CHECK (n > 0))")
        with pytest.raises(sqlite3.IntegrityError) as refused:
            connection.execute("INSERT INTO t VALUES (0)")
        with pytest.raises(sqlite3.OperationalError) as missing:
            connection.execute("INSERT INTO u VALUES (0)")
    assert Trouble.DATA is trouble(IntegrityError("x", {}, refused.value))
    assert Trouble.SCHEMA is trouble(OperationalError("x", {}, missing.value))
