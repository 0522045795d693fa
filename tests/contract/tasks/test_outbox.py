"""Enqueue inside a caller's own transaction: with it or not at all, and rung only when that is certain."""

import asyncio

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from holdfast.jobs.errors import InvalidOption, LedgerError


@pytest.fixture
def url(ledger_config):
    """The address of the ledger's database, for a program's own engine."""
    return ledger_config.url.replace("postgresql://", "postgresql+psycopg://")


def _leave_begin_to_us(connection, _record) -> None:
    connection.isolation_level = None


@pytest.fixture
def engine(url):
    """A program's own engine."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        # As SQLAlchemy advises for savepoints: by itself the driver begins no transaction for them.
        event.listen(engine, "connect", _leave_begin_to_us)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    yield engine
    engine.dispose()


def test_the_job_commits_with_the_callers_data_and_rings_then(client, greet, bell, engine, ledger):
    """Before the commit nobody sees or hears of it."""
    with Session(engine) as session:
        handle = greet.options(session=session).enqueue_sync("Ada")
        assert [] == bell.rung
        session.commit()
        assert [handle.id] == bell.rung
        session.execute(text("SELECT 1"))
        session.commit()

    assert [handle.id] == bell.rung
    assert handle.id == ledger.job(handle.id).id


def test_the_job_vanishes_with_the_callers_data(client, greet, bell, engine, ledger):
    """A rollback leaves neither job nor ring, also not for the session's next commit."""
    with Session(engine) as session:
        greet.options(session=session).enqueue_sync("Ada")
        session.rollback()
        session.execute(text("SELECT 1"))
        session.commit()

    assert [] == bell.rung
    assert [] == ledger.list_jobs()


def test_releasing_a_savepoint_is_no_commit(client, greet, bell, engine):
    """SQLAlchemy's after_commit fires on RELEASE SAVEPOINT; the outer transaction may still roll back."""
    with Session(engine) as session:
        greet.options(session=session).enqueue_sync("Ada")
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        assert [] == bell.rung
        session.rollback()

    assert [] == bell.rung


def test_a_job_of_a_savepoint_is_left_to_the_stager(client, greet, bell, engine, ledger):
    """Whether the savepoint survives is not known at the commit, so nobody rings early."""
    with Session(engine) as session:
        with session.begin_nested():
            handle = greet.options(session=session).enqueue_sync("Ada")
        session.commit()

    assert [] == bell.rung
    assert handle.id == ledger.job(handle.id).id


@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only"])
def test_a_session_joined_to_an_outer_transaction_does_not_ring(  # noqa: PLR0917 -- pytest passes by name
    client, greet, bell, engine, ledger, mode
):
    """Its commit is not the last word."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode=mode) as session:
            greet.options(session=session).enqueue_sync("Ada")
            session.commit()
        assert [] == bell.rung
        outer.rollback()

    assert [] == ledger.list_jobs()


def test_a_bare_connection_is_rung_by_hand(client, greet, bell, engine, ledger):
    """Its commit event comes before the COMMIT, so it is not used."""
    with engine.begin() as connection:
        handle = greet.options(session=connection).enqueue_sync("Ada")
    assert [] == bell.rung

    client.ring_sync([handle.id])

    assert [handle.id] == bell.rung


@pytest.mark.parametrize("colour", ["session", "connection"])
def test_async_transactions_work_too(  # noqa: PLR0917 -- pytest passes by name
    client, greet, bell, url, ledger, colour
):
    """An AsyncSession rings after its commit, an AsyncConnection not at all."""

    async def scenario() -> str:
        engine = create_async_engine(url.replace("sqlite://", "sqlite+aiosqlite://"))
        if colour == "session":
            async with AsyncSession(engine) as session:
                handle = await greet.options(session=session).enqueue("Ada")
                await session.commit()
        else:
            async with engine.begin() as connection:
                handle = await greet.options(session=connection).enqueue("Ada")
        await engine.dispose()
        return handle.id

    job_id = asyncio.run(scenario())

    assert job_id == ledger.job(job_id).id
    assert ([job_id] if colour == "session" else []) == bell.rung


def test_an_async_session_in_a_synchronous_call_is_refused(client, greet):
    """The error names the way that works."""
    with pytest.raises(InvalidOption, match="await"):
        greet.options(session=AsyncSession()).enqueue_sync("Ada")


def test_another_database_is_refused(client, greet, bell, tmp_path, ledger):
    """The job would be written where no worker looks, or not together with the ledger's own rows."""
    engine = create_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    with Session(engine) as session, pytest.raises(LedgerError):
        greet.options(session=session).enqueue_sync("Ada")
    engine.dispose()
    assert [] == ledger.list_jobs()


def test_a_key_that_is_known_gives_the_first_job_inside_a_transaction(client, greet, bell, engine):
    """The caller's transaction is not spoilt by a doubled request."""
    first = greet.options(key="order-7").enqueue_sync("Ada")
    bell.rung.clear()

    with Session(engine) as session:
        again = greet.options(key="order-7", session=session).enqueue_sync("Eve")
        session.execute(text("SELECT 1"))
        session.commit()

    assert first.id == again.id
    assert [] == bell.rung
