"""A producer from its settings: everything real but the worker."""

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

import holdfast
from holdfast.jobs.errors import LedgerUnavailable, SchemaMismatch, SettingsError
from holdfast.jobs.state import JobState
from holdfast.ledger.upgrade import migrate
from holdfast.settings import Settings, load
from holdfast.tasks import Registry, results, task
from holdfast.tasks.application import make_app
from holdfast.tests.support.servers import PostgresServer, RedisServer
from holdfast.tests.support.waiting import until

ENQUEUES = 100
# A caller that waited for the broker would wait for a socket's timeout: 5 s, once per connection.
ALL_OF_THEM_SECONDS = 5.0
DATABASE_ERROR_SECONDS = 3.0


@task(name="tests.connect.greet", registry=Registry())
async def greet(name: str) -> str:
    """Greet."""
    return name


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A redis-server that this test may stop and freeze."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def settings(own_redis, database_url, tmp_path) -> Settings:
    """Settings that name the test's own servers, and a migrated ledger."""
    (tmp_path / "env").touch()
    settings = load(
        broker_url=own_redis.url, database_url=database_url, data_dir=tmp_path, env_file=tmp_path / "env"
    )
    migrate(settings.ledger_config())
    return settings


def rung(server: RedisServer) -> list[str]:
    """The job ids on the ring queue, oldest first."""
    with server.client() as client:
        return [
            json.loads(raw)["headers"]["id"] for raw in reversed(client.lrange("holdfast.default", 0, -1))
        ]


def test_a_synchronous_program_enqueues(settings, own_redis):
    """`with holdfast.connect():` is all that a script needs; its end sends the last rings."""
    with holdfast.connect(settings) as client:
        handle = greet.enqueue_sync("Ada")
        assert JobState.AVAILABLE == client.status_sync(handle.id).state
        assert "PENDING" == results.LedgerBackend(app=_an_app()).get_state(handle.id)

    assert [handle.id] == rung(own_redis)
    with pytest.raises(SettingsError):
        greet.enqueue_sync("Eve")


def test_an_asynchronous_program_enqueues(settings, own_redis):
    """`async with holdfast.connect():` blocks the loop neither at its begin nor at its end."""

    async def program() -> list[str]:
        async with holdfast.connect(settings):
            handles = await asyncio.gather(*(greet.enqueue(str(number)) for number in range(20)))
            return [handle.id for handle in handles]

    ids = asyncio.run(program())

    assert sorted(ids) == sorted(rung(own_redis))


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
def test_a_sick_broker_slows_no_enqueue(settings, own_redis, fault):
    """Enqueue needs only the ledger: jobs are written as quickly as ever and ring when the broker is well."""
    with holdfast.connect(settings):
        greet.enqueue_sync("first")
        until(lambda: rung(own_redis), what="the first ring")
        own_redis.stop() if fault == "stopped" else own_redis.pause()
        try:
            began = time.monotonic()
            ids = [greet.enqueue_sync(str(number)).id for number in range(ENQUEUES)]
            assert time.monotonic() - began < ALL_OF_THEM_SECONDS
        finally:
            own_redis.start() if fault == "stopped" else own_redis.resume()
        until(lambda: set(ids) <= set(rung(own_redis)), timeout_seconds=20, what="the rings to arrive")


def test_a_program_can_start_and_end_without_a_broker(settings, own_redis):
    """The jobs are in the ledger, and the end takes about a second at most."""
    own_redis.stop()
    began = time.monotonic()
    with holdfast.connect(settings):
        greet.enqueue_sync("Ada")
    assert time.monotonic() - began < 5


def test_a_database_that_is_down_is_a_clear_error_at_once(own_redis, tmp_path):
    """Nothing is accepted that could be lost; when the database is back, the same client goes on."""
    (tmp_path / "env").touch()
    with PostgresServer() as database:
        url = database.url_of(database.create_database())
        settings = load(
            broker_url=own_redis.url, database_url=url, data_dir=tmp_path, env_file=tmp_path / "env"
        )
        migrate(settings.ledger_config())
        with holdfast.connect(settings):
            kept = greet.enqueue_sync("Ada")
            database.stop()
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(LedgerUnavailable):
                    greet.enqueue_sync("Eve")
                assert time.monotonic() - began < DATABASE_ERROR_SECONDS
            database.start()
            again = greet.enqueue_sync("Bob")
            assert {kept.id, again.id} == {kept.status_sync().id, again.status_sync().id}


def test_a_ledger_without_tables_says_what_to_run(settings, tmp_path):
    """The first start of a new project."""
    empty = load(
        broker_url=settings.broker_url.get_secret_value(),
        database_url=f"sqlite:///{tmp_path / 'empty.sqlite3'}",
        env_file=tmp_path / "env",
    )
    with pytest.raises(SchemaMismatch, match="holdfast migrate"), holdfast.connect(empty):
        pytest.fail("the block must not begin")


def _an_app():
    return make_app("reader", {})


def test_a_folder_without_a_platform_is_told_so(tmp_path, monkeypatch):
    """Neither SQLAlchemy's words nor advice for an outage: what is missing, and what to do."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(data_dir=tmp_path / "nothing here")
    with pytest.raises(LedgerUnavailable, match="holdfast up"), holdfast.connect(settings):
        pass
    assert not (tmp_path / "nothing here").exists()
