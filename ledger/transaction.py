"""Transactions: begun, repeated while that helps, and translated when it does not.

What is repeated: deadlocks, serialization failures and busy writers, a few
times; a connection that broke, once, on a fresh one. A COMMIT whose reply was
lost is repeated only for verbs that can tell by their token or key whether it
was done; for the others it is LedgerUnavailable, and the caller decides.
"""

import logging
from collections.abc import Callable, Sequence
from threading import Event
from time import monotonic
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.exc import SQLAlchemyError

from holdfast.jobs.clock import random_fraction
from holdfast.ledger.engine import IN_OUR_SCHEMA, READS_ONLY
from holdfast.ledger.translate import Trouble, translated, trouble

T = TypeVar("T")
Item = TypeVar("Item")

MOST_TRIES: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 5.0
"""After so long nothing is repeated: a wait for a lock has its own limit, and six of them are too many."""

_log: Final = logging.getLogger(__name__)


class DataRefused(Exception):
    """The database refused a row of a batch for what is in it."""

    def __init__(self, said: str) -> None:
        """Keep the driver's words, without the parameters."""
        self.said = said
        super().__init__(said)


class Transactions:
    """Runs pieces of work in transactions of one engine."""

    def __init__(
        self, engine: Engine, *, schema: str | None, pause: Callable[[float], Any] | None = None
    ) -> None:
        """Take an engine; `pause` waits for seconds, and is a parameter for tests."""
        self.engine = engine
        self.is_postgresql = engine.dialect.name == "postgresql"
        self._schema = schema if self.is_postgresql else None
        self._reading = engine.execution_options(**{READS_ONLY: True})
        self._pause = pause or Event().wait

    def write(
        self,
        work: Callable[[Connection], T],
        *,
        doing: str,
        is_repeatable: bool = True,
        tells_data: bool = False,
    ) -> T:
        """Run work in one transaction and commit it.

        `is_repeatable`: doing it again after an unknown COMMIT is harmless.
        `tells_data`: raise DataRefused when a row cannot be written, for callers that split their batch.
        Raises LedgerUnavailable when the database is away or too busy, LedgerError for the rest.
        """
        return self._run(self.engine, work, doing, is_repeatable=is_repeatable, tells_data=tells_data)

    def read(self, work: Callable[[Connection], T], *, doing: str) -> T:
        """Run work that only reads, in one transaction. Raises as `write` does."""
        return self._run(self._reading, work, doing, is_repeatable=True, tells_data=False)

    def run(
        self, connection: Connection, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Execute one of our statements on any connection, in our schema."""
        # Naming the schema costs a pass over each statement's text, which our own connections save.
        named = self._schema and not connection.get_execution_options().get(IN_OUR_SCHEMA)
        options = {"schema_translate_map": {None: self._schema}} if named else {}
        return connection.execute(statement, parameters, execution_options=options)

    def apart(
        self,
        connection: Connection,
        items: Sequence[Item],
        work: Callable[[Connection, Sequence[Item]], list[T]],
    ) -> tuple[list[T], list[tuple[Item, str]]]:
        """Run work on a batch in savepoints: all at once, or, if a row is refused, one by one.

        Returns what the good ones gave, and each bad one with the database's words.
        """
        if not items:
            return [], []
        try:
            with connection.begin_nested():
                return work(connection, items), []
        except SQLAlchemyError as error:
            if trouble(error) is not Trouble.DATA:
                raise
            if len(items) == 1:
                return [], [(items[0], said(error))]
        done: list[T] = []
        refused: list[tuple[Item, str]] = []
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            good, bad = self.apart(connection, half, work)
            done += good
            refused += bad
        return done, refused

    def _run(
        self,
        engine: Engine,
        work: Callable[[Connection], T],
        doing: str,
        *,
        is_repeatable: bool,
        tells_data: bool,
    ) -> T:
        attempt = _Attempt()
        while True:
            attempt.begin()
            try:
                return self._once(engine, work, attempt)
            except SQLAlchemyError as error:
                kind = trouble(error)
                if kind is Trouble.DATA and tells_data:
                    raise DataRefused(said(error)) from error
                if not attempt.is_worth_repeating(kind, is_repeatable=is_repeatable):
                    raise translated(error, doing=doing) from error
                _log.info("repeating %s after %s", doing, kind.value)
            self._pause(attempt.pause_seconds(random_fraction()))

    @staticmethod
    def _once(engine: Engine, work: Callable[[Connection], T], attempt: "_Attempt") -> T:
        with engine.connect() as connection:
            attempt.is_connected = True
            with connection.begin():
                result = work(connection)
                attempt.is_committing = True
            return result


class _Attempt:
    """How far one transaction came, and how often it was tried."""

    def __init__(self) -> None:
        self.began_at = monotonic()
        self.tries = 0
        self.breaks = 0
        self.is_connected = False
        self.is_committing = False

    def begin(self) -> None:
        self.tries += 1
        self.is_connected = False
        self.is_committing = False

    def is_worth_repeating(self, kind: Trouble, *, is_repeatable: bool) -> bool:
        if self.tries >= MOST_TRIES or monotonic() - self.began_at >= LONGEST_SECONDS:
            return False
        if kind is Trouble.CONFLICT:
            return True
        if kind is not Trouble.CONNECTION or not self.is_connected:
            # Nobody answers: a clear error at once, waiting is the caller's business.
            return False
        self.breaks += 1
        return self.breaks == 1 and (is_repeatable or not self.is_committing)

    def pause_seconds(self, fraction: float) -> float:
        """Return a wait between half and the whole of a doubling time."""
        whole: float = min(FIRST_PAUSE_SECONDS * 2.0**self.tries, LONGEST_PAUSE_SECONDS)
        return whole * (0.5 + fraction / 2)


def said(error: SQLAlchemyError) -> str:
    """Return the driver's words, without the parameters, bounded."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0][:500]
