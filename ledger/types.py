"""What the two databases say differently: instants, the clock, and batches of rows.

Times are the database's, so that hosts with wrong clocks agree. PostgreSQL
keeps timestamptz; SQLite has no such type, so it keeps text of fixed width in
UTC, which sorts as the instants do.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Dialect, Double, String, literal
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import Text, TypeDecorator, TypeEngine

INSTANT_WIDTH: Final = 27
"""Characters of `2026-11-23T13:25:54.123456Z`."""
LONGEST_SECONDS: Final = 100 * 366 * 24 * 3600.0
"""A hundred years: the longest delay that is stored; what asks for more gets this."""

SQLITE_FORMAT: Final = "%Y-%m-%dT%H:%M:%f000Z"
"""What SQLite's clock is asked for; it counts milliseconds."""
_SQLITE_FORMAT: Final = f"'{SQLITE_FORMAT}'"


class Instant(TypeDecorator[datetime]):
    """An instant: aware and in UTC in Python, whatever the database holds.

    A text in SQLite that is no instant comes back as it is: the row's reader
    refuses that one row, instead of the driver refusing the whole answer.
    """

    impl = String(INSTANT_WIDTH)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Use timestamptz on PostgreSQL."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(INSTANT_WIDTH))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401  two databases, two types
        """Refuse a datetime without a time zone: ValueError, a fault in the program."""
        if value is None:
            return None
        if dialect.name == "postgresql":
            return _aware(value)
        return instant_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002  see the class; the signature is SQLAlchemy's
        """Return an aware datetime in UTC, or the unreadable text itself."""
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).astimezone(UTC)
            except (ValueError, OverflowError):
                return value
        return value.astimezone(UTC) if isinstance(value, datetime) else value


def instant_text(value: datetime) -> str:
    """Write an aware instant as text of fixed width in UTC; both databases read it."""
    return _aware(value).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def sqlite_clock_text(instant: datetime) -> str:
    """Write an aware instant as SQLite's own clock does, in whole milliseconds."""
    return _aware(instant).replace(tzinfo=None).isoformat(timespec="milliseconds") + "000Z"


def bounded_seconds(seconds: float) -> float:
    """Bring a delay into 0 to a hundred years; what is no number counts as 0."""
    return min(seconds, LONGEST_SECONDS) if seconds > 0 else 0.0


class Now(FunctionElement[datetime]):
    """The database's clock: the start of the running statement."""

    type = Instant()
    inherit_cache = True


class Later(FunctionElement[datetime]):
    """`Later(instant, seconds)`: an instant moved by seconds, which may be an expression and negative."""

    type = Instant()
    inherit_cache = True

    def __init__(self, instant: ColumnElement[datetime], seconds: ColumnElement[float] | float) -> None:
        """Move an instant by seconds."""
        moved = literal(float(seconds), Double) if isinstance(seconds, int | float) else seconds
        super().__init__(instant, moved)


class SecondsBetween(FunctionElement[float]):
    """`SecondsBetween(earlier, later)`: how many seconds apart, negative if the order is wrong."""

    type: TypeEngine[float] = Double()
    inherit_cache = True


class EachRow(FunctionElement[Any]):
    """`EachRow(text)`: the objects of a JSON array as rows of one column, `value`.

    A batch is one parameter of one statement, whatever its size: the statement
    is compiled and planned once.
    """

    type = Text()
    inherit_cache = True


class OneOfIds(FunctionElement[bool]):
    """`OneOfIds(column, ids)`: the column is one of a JSON array of texts.

    Keeps the planner at the primary key: a join alone may be planned as a scan
    over a backlog that PostgreSQL's statistics do not know of yet.
    """

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> "OneOfIds":
        """Stand as it is: `IN (...) = 1`, as a function would be written for SQLite, is a scan there."""
        del against
        return self


class Unordered(FunctionElement[Any]):
    """`Unordered(column)`: the column, for SQLite without the index that is in its order.

    Its planner walks such an index through all rows to save sorting the few that fit. PostgreSQL has
    statistics, and decides by itself.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        """Take a column; the type stays."""
        self.type = column.type
        super().__init__(column)


class IsInstant(FunctionElement[bool]):
    """Tell whether a column holds what `Instant` can read back; for CHECK constraints."""

    inherit_cache = True


def now_plus(seconds: ColumnElement[float] | float) -> ColumnElement[datetime]:
    """Return the database's clock moved by seconds."""
    return Later(Now(), seconds)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC)


def _arguments(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> list[str]:  # noqa: ANN401  SQLAlchemy's own options
    return [compiler.process(clause, **options) for clause in element.clauses]


@compiles(Now, "postgresql")
def _now_on_postgresql(_element: Now, _compiler: SQLCompiler, **_options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    # Not now(), which stands still in a long transaction; not clock_timestamp(), which no index serves.
    return "statement_timestamp()"


@compiles(Now, "sqlite")
def _now_on_sqlite(_element: Now, _compiler: SQLCompiler, **_options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    return f"strftime({_SQLITE_FORMAT}, 'now')"


@compiles(Later, "postgresql")
def _later_on_postgresql(element: Later, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    instant, seconds = _arguments(element, compiler, **options)
    return f"({instant} + ({seconds}) * interval '1 second')"


@compiles(Later, "sqlite")
def _later_on_sqlite(element: Later, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    instant, seconds = _arguments(element, compiler, **options)
    return f"strftime({_SQLITE_FORMAT}, {instant}, printf('%+.3f seconds', {seconds}))"


@compiles(SecondsBetween, "postgresql")
def _between_on_postgresql(element: SecondsBetween, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    earlier, later = _arguments(element, compiler, **options)
    return f"CAST(EXTRACT(EPOCH FROM ({later}) - ({earlier})) AS DOUBLE PRECISION)"


@compiles(SecondsBetween, "sqlite")
def _between_on_sqlite(element: SecondsBetween, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    earlier, later = _arguments(element, compiler, **options)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"


@compiles(EachRow, "postgresql")
def _rows_on_postgresql(element: EachRow, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    return f"json_array_elements(CAST({_arguments(element, compiler, **options)[0]} AS JSON))"


@compiles(EachRow, "sqlite")
def _rows_on_sqlite(element: EachRow, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    return f"json_each({_arguments(element, compiler, **options)[0]})"


@compiles(OneOfIds, "postgresql")
def _one_of_on_postgresql(element: OneOfIds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    column, ids = _arguments(element, compiler, **options)
    return f"{column} = ANY (ARRAY(SELECT json_array_elements_text(CAST({ids} AS JSON))))"


@compiles(OneOfIds, "sqlite")
def _one_of_on_sqlite(element: OneOfIds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    column, ids = _arguments(element, compiler, **options)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608  both are written by the compiler


@compiles(Unordered)
def _unordered(element: Unordered, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    return _arguments(element, compiler, **options)[0]


@compiles(Unordered, "sqlite")
def _unordered_on_sqlite(element: Unordered, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    return f"+{_arguments(element, compiler, **options)[0]}"


@compiles(IsInstant, "postgresql")
def _is_instant_on_postgresql(element: IsInstant, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    # Infinity, and years that Python does not know, the driver cannot load.
    column = _arguments(element, compiler, **options)[0]
    return (
        f"({column} >= TIMESTAMPTZ '1970-01-01 00:00:00Z' AND {column} < TIMESTAMPTZ '9000-01-01 00:00:00Z')"
    )


@compiles(IsInstant, "sqlite")
def _is_instant_on_sqlite(element: IsInstant, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  SQLAlchemy's own options
    column = _arguments(element, compiler, **options)[0]
    return f"(length({column}) = {INSTANT_WIDTH} AND {column} GLOB '[1-8]???-??-??T??:??:??.??????Z')"
