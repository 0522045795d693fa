"""A real ledger on SQLite for one test: a file of its own, empty, with the test's clock.

Its tables are made once for a process, and a file that a test gives back is
emptied for the next: making tables and compiling statements anew would cost
each test more than its jobs.
"""

import os
import shutil
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from holdfast.jobs.clock import Clock, SystemClock
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.upgrade import migrate

ENOUGH_BYTES: Final = 64 * 1024 * 1024
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- each database makes a private folder below it
_WAIT_SECONDS: Final = 5.0
_idle: Final[list["Database"]] = []
_lock: Final = threading.Lock()


class Database:
    """A SQLite file and the ledger on it."""

    def __init__(self) -> None:
        """Make the file and its tables. In memory where the system offers that."""
        self._pid = os.getpid()
        self._folder = TemporaryDirectory(prefix="holdfast-testing-", dir=_memory_folder())
        self._path = Path(self._folder.name) / "ledger.sqlite3"
        self.url: Final = f"sqlite:///{self._path}"
        self.clock: Clock = SystemClock()
        config = LedgerConfig(self.url, lock_timeout_seconds=_WAIT_SECONDS, sqlite_now=self._now)
        migrate(config)
        self._empty = sqlite3.connect(":memory:", check_same_thread=False)
        self.ledger: Final[Ledger] = connect(config)
        with closing(sqlite3.connect(self._path)) as connection:
            connection.backup(self._empty)

    @property
    def is_ours(self) -> bool:
        """Tell whether this process made it, and not the one that it was forked from."""
        return self._pid == os.getpid()

    def wipe(self) -> None:
        """Be as at the beginning, tables of the test's own included. Raises sqlite3.Error if it is in use."""
        with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as connection:
            self._empty.backup(connection, progress=_refuse_to_wait)

    def close(self) -> None:
        """Remove it."""
        self.ledger.close()
        self._empty.close()
        self._folder.cleanup()

    def _now(self) -> datetime:
        return self.clock.now()


@contextmanager
def database(clock: Clock) -> Generator[Database]:
    """Lend an empty ledger, whose database shows the time of this clock."""
    lent = _take()
    lent.clock = clock
    try:
        yield lent
    finally:
        _give_back(lent)


def _take() -> Database:
    with _lock:
        while _idle:
            one = _idle.pop()
            if one.is_ours:
                return one
    return Database()


def _give_back(lent: Database) -> None:
    lent.clock = SystemClock()
    try:
        lent.wipe()
    except sqlite3.Error:
        # A connection of the test's own still reads or writes there: the next test gets another file.
        lent.close()
        return
    with _lock:
        _idle.append(lent)


def _refuse_to_wait(status: int, _left: int, _total: int) -> None:
    # The driver's own answer to a database in use is to wait for ever.
    if status not in {sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE}:
        raise sqlite3.OperationalError(f"the database is in use ({status})")


def _memory_folder() -> Path | None:
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free > ENOUGH_BYTES else None
