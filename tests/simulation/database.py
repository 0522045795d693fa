"""The real ledger on a database in memory whose clock, commits and memory are the simulation's.

Nothing of the ledger is replaced: it takes a clock for SQLite, and SQLite's
driver lets a program derive its connection, so each COMMIT asks first.
"""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy import event

from holdfast.ledger import Ledger, LedgerConfig
from holdfast.ledger import transaction as transaction_module
from holdfast.ledger.types import sqlite_clock_text
from holdfast.ledger.upgrade import migrate
from holdfast.tests.simulation.threads import Event

NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
_LONG_AGO: Final = "2026-11-20T12:00:00.000000Z"
_ADDRESS: Final = "file:simulation?mode=memory&cache=shared"
_OUR_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table'"
    " AND name <> 'alembic_version' AND name NOT LIKE 'sqlite_%'"
)
_STATEMENTS: Final = 512
"""A connection keeps all of the ledger's statements prepared."""


class AskingConnection(sqlite3.Connection):
    """A connection that asks before it commits."""

    database: "Database"
    changes_before = 0

    def commit(self) -> None:
        """Let the world decide what becomes of this commit."""
        self.database.on_commit(self)

    def really_commit(self) -> None:
        """Commit."""
        super().commit()
        self.changes_before = self.total_changes

    def rollback(self) -> None:
        """Take back; what was changed and taken back is no change of the next transaction."""
        super().rollback()
        self.changes_before = self.total_changes

    @property
    def has_changed(self) -> bool:
        """Whether the open transaction wrote anything."""
        return self.total_changes != self.changes_before


class Database:
    """One for an interpreter: its statements are compiled once, its rows are those of the running seed."""

    def __init__(self) -> None:
        self.seconds: Callable[[], float] = float
        """What its clock shows, after noon."""
        self.on_commit: Callable[[AskingConnection], object] = AskingConnection.really_commit
        address = f"sqlite:///{_ADDRESS}&uri=true"
        config = LedgerConfig(address, pool_size=64, pool_overflow=0, sqlite_now=self.instant)
        self.witness = sqlite3.connect(_ADDRESS, uri=True, isolation_level=None)
        """Sees what is committed, and nothing else."""
        migrate(config)
        self.witness.execute("UPDATE meta SET changed_at = ?", (_LONG_AGO,))
        self.witness.execute("UPDATE meta SET value = 'first-epoch' WHERE name = 'epoch'")
        self._tables = [name for (name,) in self.rows(_OUR_TABLES)]
        self._facts = self.rows("SELECT name, value, changed_at FROM meta")
        with patch.object(transaction_module, "Event", Event):
            self.ledger = Ledger(config)
        engine = self.ledger._engine  # noqa: SLF001 -- the seam for a driver's connection is the engine's
        event.listen(engine, "do_connect", self._connect)
        self.ledger.open()

    def begin(self, on_commit: Callable[[AskingConnection], object], seconds: Callable[[], float]) -> None:
        """Forget everything; ask this at each commit, and that for the time."""
        self.witness.execute("BEGIN")
        for table in self._tables:
            self.witness.execute(f"DELETE FROM {table}")  # noqa: S608 -- the ledger's own names
        self.witness.executemany("INSERT INTO meta (name, value, changed_at) VALUES (?, ?, ?)", self._facts)
        self.witness.execute("COMMIT")
        self.on_commit, self.seconds = on_commit, seconds

    def end(self) -> None:
        """Ask nobody any more."""
        self.on_commit, self.seconds = AskingConnection.really_commit, float

    def instant(self) -> datetime:
        """What the database's clock shows."""
        return NOON + timedelta(seconds=self.seconds())

    def now(self) -> str:
        """The same as its statements read it."""
        return sqlite_clock_text(self.instant())

    def snapshot(self) -> sqlite3.Connection:
        """Remember what is committed."""
        copy = sqlite3.connect(":memory:")
        self.witness.backup(copy)
        return copy

    def restore(self, snapshot: sqlite3.Connection) -> None:
        """Be as a snapshot was: what was committed since is forgotten."""
        snapshot.backup(self.witness)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read what is committed."""
        return self.witness.execute(statement).fetchall()

    def _connect(self, dialect: Any, record: Any, arguments: Any, options: Any) -> sqlite3.Connection:
        connection = dialect.connect(
            *arguments, **options, factory=AskingConnection, cached_statements=_STATEMENTS
        )
        connection.database = self
        return connection
