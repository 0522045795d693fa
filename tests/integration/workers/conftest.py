"""A platform for tests of the worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import RedisServer


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed, frozen, flushed."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def held(own_redis: RedisServer, database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on its own Redis, once on SQLite and once on PostgreSQL."""
    with platform(tmp_path, broker_url=own_redis.url, database_url=database_url) as made:
        yield made


@pytest.fixture
def embedded(own_redis: RedisServer, sqlite_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on its own Redis and SQLite, for what does not depend on the database."""
    with platform(tmp_path, broker_url=own_redis.url, database_url=sqlite_url) as made:
        yield made


@pytest.fixture
def on_postgres(own_redis: RedisServer, postgres_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on PostgreSQL: who is frozen in the middle of a write to SQLite holds its only lock."""
    with platform(tmp_path, broker_url=own_redis.url, database_url=postgres_url) as made:
        yield made
