"""Fixtures that every level shares, and the account of what was left out.

Real servers start when the first test asks for them and end with the session.
"""

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from holdfast.tests.support import repository
from holdfast.tests.support.servers import PostgresServer, RabbitMQServer, RedisServer

REQUIRE_ALL = os.environ.get("HOLDFAST_REQUIRE_ALL") == "1"
OPT_IN_MARKERS = ("rabbitmq", "browser", "slow")
OF_THEIR_OWN_TARGET = ("hunt", "outage")

# An example that is late on a busy machine is no finding: nothing here is judged by its time.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One redis-server for the session; tests that stop or freeze a server start their own."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the session; tests that stop or freeze a server start their own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQServer]:
    """One RabbitMQ for the session; a test that uses it carries the marker ``rabbitmq``."""
    with RabbitMQServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh PostgreSQL database."""
    name = postgres_server.create_database()
    yield postgres_server.url_of(name)
    postgres_server.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database, once on SQLite and once on PostgreSQL."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(fixture))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the repository's own files, so that no leftovers get in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in repository.files():
        target = source / path.relative_to(repository.ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs more than pip brings, unless it was asked for by name or for all.

    The long hunts of the simulation and the long outages have targets of their own and are no part of
    any other run.
    """
    wanted = str(config.option.markexpr)
    for marker in OF_THEIR_OWN_TARGET:
        if marker in wanted:
            continue
        elsewhere = [item for item in items if item.get_closest_marker(marker)]
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]
    for marker in OPT_IN_MARKERS:
        if REQUIRE_ALL or marker in wanted:
            continue
        leave_out = pytest.mark.skip(reason=f"marked {marker}: runs with `make test-all`")
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(leave_out)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a complete run in which anything was left out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if REQUIRE_ALL and exitstatus == pytest.ExitCode.OK and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say by name what was left out, and why."""
    left_out = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        left_out[reason.removeprefix("Skipped: ")].append(report.nodeid)
    if not left_out:
        return
    terminalreporter.section("left out" + (", which HOLDFAST_REQUIRE_ALL=1 forbids" if REQUIRE_ALL else ""))
    for reason, names in sorted(left_out.items()):
        terminalreporter.line(f"{reason} ({len(names)}):")
        for name in names:
            terminalreporter.line(f"  {name}")
