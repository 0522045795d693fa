"""What kind of fault an exception is: builtins, our own errors, statuses, and libraries installed here."""

import asyncio
import importlib
import sqlite3
from datetime import UTC, datetime

import pydantic
import pytest
import redis.exceptions
import sqlalchemy
from celery.exceptions import Ignore, Reject, Retry, WorkerShutdown
from psycopg import errors as postgres
from sqlalchemy import exc

from holdfast.jobs import errors, signals
from holdfast.resilience import foreign
from holdfast.resilience.faults import Fault, Judgement, classify, judge

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TRANSIENT, PUSHBACK, PERMANENT = Fault.TRANSIENT, Fault.PUSHBACK, Fault.PERMANENT
FATAL, NEUTRAL, UNKNOWN = Fault.FATAL, Fault.NEUTRAL, Fault.UNKNOWN
TABLES = {
    name: names for name, names in vars(foreign).items() if name.isupper() and isinstance(names, frozenset)
}


class Answer(Exception):
    """What a client that nobody knows raises."""

    def __init__(self, status_code=None, headers=None, **more):
        super().__init__("an answer")
        self.status_code = status_code
        self.headers = headers or {}
        vars(self).update(more)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionResetError(), TRANSIENT),
        (TimeoutError(), TRANSIENT),
        (errors.LedgerUnavailable(), TRANSIENT),
        (errors.AttemptTimeout(), TRANSIENT),
        (errors.BreakerOpen(), TRANSIENT),
        (TypeError(), PERMANENT),
        (KeyError(), PERMANENT),
        (FileNotFoundError(), PERMANENT),
        (errors.InvalidArguments(), PERMANENT),
        (ValueError(), UNKNOWN),
        (RuntimeError(), UNKNOWN),
        (OSError(), UNKNOWN),
        (errors.LeaseLost(), UNKNOWN),
        (asyncio.CancelledError(), NEUTRAL),
        (KeyboardInterrupt(), NEUTRAL),
        (SystemExit(), NEUTRAL),
        (GeneratorExit(), NEUTRAL),
        (signals.Retry(), NEUTRAL),
        (signals.Park("x"), NEUTRAL),
        (Retry(), NEUTRAL),
        (Ignore(), NEUTRAL),
        (Reject(), NEUTRAL),
        (WorkerShutdown(0), NEUTRAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_a_class_tells_the_fault(error, fault):
    """Builtins, our own errors and what only stops a call are judged by their class."""
    assert fault is classify(error)
    assert Judgement(fault) == judge(error, now=NOW)


def test_a_validation_error_is_permanent():
    """The same data does not fit the same model any better an hour later."""
    with pytest.raises(pydantic.ValidationError) as raised:
        pydantic.TypeAdapter(int).validate_python("x")
    assert PERMANENT is classify(raised.value)


def test_a_rejected_call_says_when_it_may_be_made():
    """What our own breaker knows of the time is not lost on the way to the decision."""
    assert Judgement(TRANSIENT, 7.0) == judge(errors.BreakerOpen(retry_after_seconds=7), now=NOW)
    assert Judgement(TRANSIENT) == judge(errors.RateLimited(retry_after_seconds=-1), now=NOW)


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        (TRANSIENT, (408, 409, 425, 500, 502, 503, 504, 520, 599)),
        (PUSHBACK, (429, 529)),
        (PERMANENT, (400, 401, 402, 403, 404, 405, 410, 413, 415, 418, 422, 501)),
        (UNKNOWN, (100, 200, 204, 301, 304)),
    ],
)
def test_a_status_tells_the_fault_of_a_stranger(fault, statuses):
    """An exception of an unknown client counts by its HTTP status, if that is one of a failure."""
    assert [(fault, status) for status in statuses] == [
        (judge(Answer(status), now=NOW).fault, judge(Answer(status), now=NOW).status) for status in statuses
    ]


@pytest.mark.parametrize(
    ("status", "headers", "judgement"),
    [
        (429, {"Retry-After": "7"}, Judgement(PUSHBACK, 7.0, 429)),
        (429, {"Retry-After": "Fri, 27 Nov 2026 12:00:09 GMT"}, Judgement(PUSHBACK, 9.0, 429)),
        (429, {"x-ratelimit-reset-tokens": "6m0s"}, Judgement(PUSHBACK, 360.0, 429)),
        (429, {"Retry-After": "soon"}, Judgement(PUSHBACK, None, 429)),
        (503, {"Retry-After": "3"}, Judgement(PUSHBACK, 3.0, 503)),
        (503, {"Retry-After": "Fri, 27 Nov 2026 11:00:00 GMT"}, Judgement(PUSHBACK, 0.0, 503)),
        (503, {"Retry-After": "-3"}, Judgement(TRANSIENT, None, 503)),
        (503, {"x-ratelimit-reset-tokens": "6m0s"}, Judgement(TRANSIENT, None, 503)),
        (529, {"x-ratelimit-reset-tokens": "6m0s"}, Judgement(PUSHBACK, None, 529)),
        (500, {"Retry-After": "4"}, Judgement(TRANSIENT, 4.0, 500)),
        (500, {"x-ratelimit-reset-tokens": "6m0s"}, Judgement(TRANSIENT, None, 500)),
        (400, {"Retry-After": "4"}, Judgement(PERMANENT, None, 400)),
    ],
)
def test_an_upstream_says_how_long(status, headers, judgement):
    """Retry-After counts where another try makes sense; a reset only where a limit was hit."""
    assert judgement == judge(Answer(status, headers), now=NOW)
    assert judgement.fault is classify(Answer(status, headers))


def test_a_wait_may_stand_on_the_exception_itself():
    """Clients carry the seconds as an attribute; that is said of this answer, so it beats a reset."""
    assert Judgement(PUSHBACK, 12.5, 429) == judge(Answer(429, retry_after=12.5), now=NOW)
    reset = {"x-ratelimit-reset-tokens": "6m0s"}
    assert Judgement(PUSHBACK, 12.5, 429) == judge(Answer(429, reset, retry_after=12.5), now=NOW)
    said = {"Retry-After": "20"}
    assert Judgement(PUSHBACK, 20.0, 429) == judge(Answer(429, said, retry_after=12.5), now=NOW)


def test_a_code_needs_a_status_beside_it_or_a_known_class():
    """`code` means many things; on an exception of no upstream it means nothing."""
    assert FATAL is classify(Answer(429, code="insufficient_quota"))
    assert UNKNOWN is classify(Answer(code="insufficient_quota"))
    assert UNKNOWN is classify(Answer(type="overloaded_error"))


def test_a_strangers_cause_proves_nothing():
    """Whoever wraps an error in a class of his own has given it a meaning of his own."""
    wrapped = RuntimeError("we wrapped it")
    wrapped.__cause__ = Answer(429, {"Retry-After": "7"})
    assert Judgement(UNKNOWN) == judge(wrapped, now=NOW)


class OurBusyRedis(redis.exceptions.BusyLoadingError):
    pass


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (redis.exceptions.ConnectionError(), TRANSIENT),
        (redis.exceptions.TimeoutError(), TRANSIENT),
        (redis.exceptions.BusyLoadingError(), TRANSIENT),
        (redis.exceptions.ReadOnlyError(), TRANSIENT),
        (redis.exceptions.WatchError(), TRANSIENT),
        (OurBusyRedis(), TRANSIENT),
        (redis.exceptions.AuthenticationError(), FATAL),
        (redis.exceptions.NoPermissionError(), PERMANENT),
        (redis.exceptions.DataError(), PERMANENT),
        (redis.exceptions.ResponseError(), UNKNOWN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_redis_is_known(error, fault):
    """A subclass counts as its nearest known base: a refused password is no lost connection."""
    assert fault is classify(error)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (postgres.SerializationFailure, TRANSIENT),
        (postgres.DeadlockDetected, TRANSIENT),
        (postgres.AdminShutdown, TRANSIENT),
        (postgres.TooManyConnections, TRANSIENT),
        (postgres.QueryCanceled, TRANSIENT),
        (postgres.LockNotAvailable, TRANSIENT),
        (postgres.ReadOnlySqlTransaction, TRANSIENT),
        (postgres.ConnectionTimeout, TRANSIENT),
        (postgres.OperationalError, TRANSIENT),
        (postgres.InterfaceError, TRANSIENT),
        (postgres.UniqueViolation, PERMANENT),
        (postgres.StringDataRightTruncation, PERMANENT),
        (postgres.UndefinedTable, PERMANENT),
        (postgres.InsufficientPrivilege, PERMANENT),
        (postgres.DatabaseDropped, PERMANENT),
        (postgres.TransactionIntegrityConstraintViolation, PERMANENT),
        (postgres.ProgrammingError, PERMANENT),
        (postgres.InvalidPassword, FATAL),
        (postgres.InternalError_, UNKNOWN),
    ],
)
def test_postgresql_is_known_with_and_without_sqlalchemy(kind, fault):
    """The SQLSTATE decides, and only where there is none the class of the driver."""
    assert fault is classify(kind("x"))
    assert fault is classify(exc.DBAPIError.instance("select 1", {}, kind("x"), postgres.Error))


@pytest.mark.parametrize(
    "kind", [exc.OperationalError, exc.InterfaceError, exc.ProgrammingError, exc.InternalError]
)
def test_a_connection_that_was_thrown_away_is_transient(kind):
    """SQLAlchemy knows that the connection is gone, whatever the driver called the error."""
    assert TRANSIENT is classify(kind("select 1", {}, Exception("gone"), connection_invalidated=True))


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (exc.TimeoutError(), TRANSIENT),
        (exc.DisconnectionError(), TRANSIENT),
        (exc.NoResultFound(), PERMANENT),
        (exc.ArgumentError(), PERMANENT),
        (exc.PendingRollbackError(), UNKNOWN),
        (exc.SQLAlchemyError(), UNKNOWN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_sqlalchemys_own_errors_are_known(error, fault):
    """A pool that is empty is bad luck, a wrong call is a bug."""
    assert fault is classify(error)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [("select * from nowhere", PERMANENT), ("insert into t values (1)", PERMANENT), ("select", PERMANENT)],
)
def test_sqlite_calls_mistakes_operational_errors(statement, fault):
    """A missing table is no outage, though SQLite's driver says OperationalError for both."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("create table t (a integer primary key)")
        connection.exec_driver_sql("insert into t values (1)")
        with pytest.raises(exc.DBAPIError) as raised:
            connection.exec_driver_sql(statement)
    engine.dispose()
    assert fault is classify(raised.value)


def test_a_locked_sqlite_database_is_transient():
    """The other writer ends some time."""
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorname = "SQLITE_BUSY"
    assert TRANSIENT is classify(exc.DBAPIError.instance("select 1", {}, locked, sqlite3.Error))


@pytest.mark.parametrize("package", ["redis.exceptions", "sqlalchemy.exc", "psycopg", "celery.exceptions"])
def test_every_name_in_the_tables_is_a_class(package):
    """A name that its package does not have would never be found, and nobody would notice."""
    module = importlib.import_module(package)
    prefix = package.partition(".")[0] + "."
    named = {
        name.removeprefix(prefix)
        for table, names in TABLES.items()
        if table.endswith("_CLASSES")
        for name in names
        if name.startswith(prefix)
    }
    assert named
    assert set() == {name for name in named if not issubclass(getattr(module, name, object), BaseException)}


@pytest.mark.parametrize("family", ["CLASSES", "CODES", "KINDS", "STATES", "STATUSES"])
def test_no_name_stands_in_two_tables(family):
    """Each class, code and status has one meaning; FATAL_STATUSES narrow the permanent ones for providers."""
    names = [name for table, names in TABLES.items() if table.endswith(f"_{family}") for name in names]
    assert sorted(set(names)) == sorted(names)
