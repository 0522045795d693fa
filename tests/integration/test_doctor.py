"""The doctor beside real servers."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.cli.doctor.broker import look_at_broker
from holdfast.cli.doctor.database import look_at_database
from holdfast.cli.doctor.verdict import Level
from holdfast.ledger import upgrade
from holdfast.ledger.revision import HEAD
from holdfast.settings import Settings
from holdfast.tests.support.servers import RedisServer, a_password


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of ours."""
    for name in [name for name in os.environ if name.startswith(("HOLDFAST_", "CELERY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(verdicts, subject):
    """The one verdict about a subject."""
    (verdict,) = [verdict for verdict in verdicts if verdict.subject == subject]
    return verdict


@pytest.fixture(scope="module")
def guarded_redis():
    """A Redis with a password."""
    with RedisServer(password=a_password()) as server:
        yield server


class StoppedClock:
    """A machine's clock that stands at one instant."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the instant."""
        return self._now

    def monotonic(self) -> float:
        """Return a second that does not pass."""
        return 0.0


def test_a_ledger_that_works():
    """Revision and times are shown."""
    upgrade.migrate(Settings().ledger_config())
    verdict = found(look_at_database(Settings()), "database")
    assert Level.OK == verdict.level
    assert f"revision {HEAD}" in verdict.found


@pytest.mark.parametrize(("seconds", "level"), [(0, Level.OK), (90, Level.WARNING), (-90, Level.WARNING)])
def test_the_clock_is_compared_with_the_databases(postgres_url, seconds, level):
    """A machine whose clock is wrong shows wrong times; the database's are the ones that count."""
    settings = Settings(database_url=postgres_url)
    upgrade.migrate(settings.ledger_config())
    clock = StoppedClock(datetime.now(UTC) - timedelta(seconds=seconds))  # noqa: TID251  compared with the server's
    verdict = found(look_at_database(settings, clock=clock), "clock")
    assert level == verdict.level


def test_a_postgresql_that_is_not_there():
    """The remedy starts it."""
    settings = Settings(database_url="postgresql://u:p@127.0.0.1:1/x", database_connect_timeout_seconds=1)
    verdict = found(look_at_database(settings), "database")
    assert (Level.ERROR, "sudo systemctl start postgresql") == (verdict.level, verdict.remedy)


def test_a_broker_that_evicts(guarded_redis):
    """A Redis that drops keys when it is full is a warning; one without a file is a note."""
    with guarded_redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        verdicts = list(look_at_broker(Settings(broker_url=guarded_redis.url)))
        client.config_set("maxmemory-policy", "noeviction")
    assert Level.OK == found(verdicts, "broker").level
    assert Level.WARNING == found(verdicts, "broker memory").level
    assert "noeviction" in found(verdicts, "broker memory").remedy
    assert Level.NOTE == found(verdicts, "broker disk").level
    assert Level.OK == found(look_at_broker(Settings(broker_url=guarded_redis.url)), "broker memory").level


def test_a_wrong_password(guarded_redis):
    """The remedy names the setting."""
    settings = Settings(broker_url=guarded_redis.url, broker_password="wrong")
    verdict = found(look_at_broker(settings), "broker")
    assert Level.ERROR == verdict.level
    assert "HOLDFAST_BROKER_PASSWORD" in verdict.remedy
