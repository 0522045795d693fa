"""A fresh, real ledger on SQLite for each test, copied from one that was migrated once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.jobs.events import Event, Events
from holdfast.ledger import Ledger, LedgerConfig, connect, migrate
from holdfast.tests.support.bench import FakeClock


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables in it."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite3"
    migrate(LedgerConfig(f"sqlite:///{path}"))
    return path


@pytest.fixture
def ledger(migrated: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A connected, empty ledger."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(migrated, path)
    ledger = connect(LedgerConfig(f"sqlite:///{path}"))
    yield ledger
    ledger.close()


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
