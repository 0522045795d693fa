"""A real ledger on SQLite, one for the session.

Its statements are compiled once, its rows go after each test.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from holdfast.jobs.events import Event, Events
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.schema import meta
from holdfast.ledger.schema_rules import metadata
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.bench import FakeClock
from holdfast.tests.support.processes import _memory_folder


@pytest.fixture(scope="session")
def one_ledger() -> Iterator[Ledger]:
    """The session's ledger, in memory where the system offers that: what is tested here is no disk."""
    with TemporaryDirectory(prefix="holdfast-unit-", dir=_memory_folder()) as folder:
        config = LedgerConfig(f"sqlite:///{Path(folder) / 'ledger.sqlite3'}")
        migrate(config)
        ledger = connect(config)
        yield ledger
        ledger.close()


@pytest.fixture
def ledger(one_ledger: Ledger) -> Iterator[Ledger]:
    """A connected, empty ledger."""
    yield one_ledger
    with one_ledger.session() as session:
        for table in reversed(metadata.sorted_tables):
            if table is not meta:
                session.execute(table.delete())
        session.commit()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


@pytest.fixture
def seen() -> list[Event]:
    """The events that were emitted."""
    return []


@pytest.fixture
def events(seen: list[Event]) -> Events:
    """Events that end in `seen`."""
    return Events(seen.append)
