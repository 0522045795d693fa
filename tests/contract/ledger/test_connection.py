"""Opening, migrating, and what happens when the database is away."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from holdfast.jobs.errors import LedgerError, LedgerUnavailable, SchemaMismatch
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import LedgerConfig, connect, identity
from holdfast.ledger.engine import make_engine
from holdfast.ledger.revision import HEAD, VERSION_TABLE
from holdfast.ledger.schema_rules import metadata
from holdfast.ledger.upgrade import alembic_config, migrate
from holdfast.tests.support.builders import a_new_job, a_settlement


def test_migrate(config, ledger):
    """Migrating again changes nothing, and the ledger keeps its identity."""
    assert HEAD == migrate(config) == ledger.revision()
    again = connect(config)
    assert ledger.ledger_id == again.ledger_id
    assert 36 == len(again.ledger_id)
    again.close()


def test_migrations_and_schema_agree(config):
    """The migrations make the tables that the statements are written for."""
    schema = config.schema if config.url.startswith("postgresql") else None
    engine = make_engine(config)
    with engine.connect() as connection:
        if schema:
            connection.execute(text(f"SET search_path TO {schema}"))
            connection.dialect.default_schema_name = schema
        options = {
            "compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE,
            "include_name": lambda name, kind, _: (name, kind) != ("sqlite_sequence", "table"),
        }  # fmt: skip
        context = MigrationContext.configure(connection, opts=options)
        assert [] == compare_metadata(context, metadata)
        migrated = _checks(connection, schema)
        connection.rollback()
        # A second copy, made from the tables themselves.
        if schema:
            connection.execute(text("CREATE SCHEMA copy"))
        else:
            for table in reversed(metadata.sorted_tables):
                connection.execute(text(f"DROP TABLE {table.name}"))
        mapped = connection.execution_options(schema_translate_map={None: "copy" if schema else None})
        metadata.create_all(mapped)
        assert migrated == _checks(connection, "copy" if schema else None)
        connection.rollback()
    engine.dispose()


def test_a_message_survives_the_migration_to_envelopes(config, ledger):
    """One that was kept by 0001 is there after 0002, as bytes; and the way back works, too."""
    how = {"queue": "celery", "reason": QuarantineReason.UNDECODABLE, "detail": "d", "source": "w"}
    kept = ledger.quarantine.keep(**how, raw=b"\xff", envelope="{}")
    engine = make_engine(config)
    schema = config.schema if config.url.startswith("postgresql") else None
    with engine.connect() as connection, connection.begin():
        mapped = connection.execution_options(schema_translate_map={None: schema}) if schema else connection
        command.downgrade(alembic_config(mapped, schema), "0001")
    engine.dispose()
    with pytest.raises(SchemaMismatch, match="holdfast migrate"):
        connect(config)
    migrate(config)
    found = ledger.quarantine.one(kept)
    assert (b"\xff", "d", 1, None, 0, None) == (
        found.raw, found.detail, found.count, found.envelope, found.replays, found.replayed_at,
    )  # fmt: skip
    assert kept < ledger.quarantine.keep(**how, raw=b"another")


def test_many_migrate_at_once(database_url):
    """Processes that start together and all migrate get one ledger."""
    config = LedgerConfig(url=database_url, schema="together")
    with ThreadPoolExecutor(4) as pool:
        assert [HEAD] * 4 == list(pool.map(migrate, [config] * 4))
    connect(config).close()


def test_no_tables(database_url):
    """A database without a ledger is a mismatch that names the command, unless it was not asked."""
    config = LedgerConfig(url=database_url, schema="nowhere")
    with pytest.raises(SchemaMismatch, match="holdfast migrate"):
        connect(config)
    ledger = connect(config, check_schema=False)
    assert None is ledger.revision()
    with pytest.raises(SchemaMismatch):
        ledger.job(a_new_job().id)
    ledger.close()


@pytest.mark.parametrize(("revision", "said"), [("0000", "holdfast migrate"), ("9999", "newer version")])
def test_another_revision(config, by_hand, revision, said):
    """Tables of another version are refused with what to do."""
    by_hand(f"UPDATE {VERSION_TABLE} SET version_num = :revision", revision=revision)  # noqa: S608  our own table
    with pytest.raises(SchemaMismatch, match=said):
        connect(config)


@pytest.mark.parametrize("url", ["", "mysql://x", "sqlite://", "sqlite:///:memory:", "nonsense:secret@x"])
def test_wrong_address(url):
    """An address that cannot be a ledger is refused, without repeating its password."""
    with pytest.raises(LedgerError) as caught:
        connect(LedgerConfig(url=url))
    assert "secret" not in str(caught.value)


def test_nobody_there(tmp_path):
    """A database that cannot be reached is LedgerUnavailable, at once."""
    with pytest.raises(LedgerUnavailable):
        connect(LedgerConfig(url="postgresql://nobody@127.0.0.1:1/x", connect_timeout_seconds=1.0))
    with pytest.raises(LedgerUnavailable):
        connect(LedgerConfig(url=f"sqlite:///{tmp_path}/no/such/folder/x.sqlite3"))


def test_namespaces(config, ledger):
    """Two schemas on one PostgreSQL are two ledgers; two files are on SQLite."""
    other_config = replace(config, schema="other")
    if not config.url.startswith("postgresql"):
        other_config = replace(config, url=f"{config.url}-other")
    migrate(other_config)
    other = connect(other_config)
    job = a_new_job()
    ledger.enqueue([job])
    assert other.ledger_id != ledger.ledger_id
    assert {} == other.find([job.id])
    other.close()


def test_another_machine(sqlite_url, tmp_path, monkeypatch):
    """A SQLite file serves one machine; moving it is said with `promoted`."""
    config = LedgerConfig(url=sqlite_url)
    migrate(config)
    machine = tmp_path / "machine-id"
    monkeypatch.setattr(identity, "_MACHINE_ID", machine)
    connect(config).close()
    machine.write_text("first\n")
    connect(config).close()
    machine.write_text("second\n")
    with pytest.raises(LedgerError, match="promoted"):
        connect(config)
    mover = connect(config, check_schema=False)
    assert 2 == mover.promoted()
    mover.close()
    connect(config).close()


def test_no_free_connection(config):
    """Waiting for a connection has an end."""
    ledger = connect(replace(config, pool_size=1, pool_overflow=0, pool_timeout_seconds=0.1))
    with ledger._engine.connect(), pytest.raises(LedgerUnavailable):  # noqa: SLF001  the pool is not public
        ledger.epoch()
    ledger.close()


def test_asynchronous_session(ledger, claim):
    """A handler on an event loop settles inside its own asynchronous transaction."""
    job = a_new_job()
    ledger.enqueue([job])
    lease = claim(job.id).lease

    async def handle():
        try:
            async with ledger.async_session() as session:
                connection = await session.connection()
                settled = await connection.run_sync(ledger.settle_in, a_settlement(lease))
                await session.commit()
                return settled
        finally:
            await ledger.close_async()

    assert JobState.COMPLETED == asyncio.run(handle()).state
    assert JobState.COMPLETED == ledger.job(job.id).state


def _checks(connection, schema):
    inspector = inspect(connection)
    return {
        table.name: sorted(
            (check["name"], check["sqltext"])
            for check in inspector.get_check_constraints(table.name, schema=schema)
        )
        for table in metadata.sorted_tables
    }
