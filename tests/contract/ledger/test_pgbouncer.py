"""The ledger behind PgBouncer, which hands each transaction another connection of the server."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from holdfast.jobs.errors import LedgerError, LedgerUnavailable
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig, connect
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.builders import a_new_job, a_settlement
from holdfast.tests.support.pgbouncer import PgBouncerServer, pgbouncer_binary
from holdfast.tests.support.postgres import PostgresServer

pytestmark = pytest.mark.skipif(pgbouncer_binary() is None, reason="needs pgbouncer")
SETTING = "HOLDFAST_DATABASE_TRANSACTION_POOLER"


@pytest.fixture(scope="module")
def bouncer(postgres_server: PostgresServer) -> Iterator[PgBouncerServer]:
    """In transaction mode, with three connections to the server for any number of ours."""
    with PgBouncerServer(postgres_server) as server:
        yield server


@pytest.fixture
def config(postgres_server: PostgresServer, bouncer: PgBouncerServer) -> Iterator[LedgerConfig]:
    """A fresh ledger, migrated through the pooler."""
    name = postgres_server.create_database()
    config = LedgerConfig(
        url=bouncer.url_of(name), schema="holdfast_test", transaction_pooler=True, lock_timeout_seconds=0.5
    )
    migrate(config)
    yield config
    postgres_server.drop_database(name)


def test_a_life_behind_a_pooler(ledger, claim):
    """Enqueue, claim, settle, history, sweeps, a handler's own transaction, from many threads at once."""
    jobs = [a_new_job() for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: ledger.enqueue([job]), jobs))
        leases = [claim(job.id).lease for job in jobs]
        settled = list(pool.map(lambda lease: ledger.settle([a_settlement(lease)])[0].state, leases))
    assert [JobState.COMPLETED] * 40 == settled
    assert 3 == len(ledger.history(jobs[0].id))
    assert 0 == len(ledger.rescue(10))
    assert ledger.ping().write_ms > 0


def test_waits_have_an_end_behind_a_pooler(ledger, config, worker, claim):
    """Our limits hold in each transaction, also in those of handlers, and nobody else gets them."""
    job = a_new_job()
    ledger.enqueue([job])
    lease = claim(job.id).lease

    async def settings() -> tuple[str, str]:
        async with ledger.async_session() as session:
            rows = [await session.scalar(text(f"SHOW {name}")) for name in ("lock_timeout", "timezone")]
        await ledger.close_async()
        return tuple(rows)

    assert ("500ms", "UTC") == asyncio.run(settings())
    with ledger.session() as session:
        ledger.check_lease_in(session.connection(), lease)
        with pytest.raises(LedgerUnavailable, match="lock timeout"):
            ledger.settle([a_settlement(lease)])
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease)])[0].state


def test_a_pooler_that_nobody_told_us_of_is_refused(config):
    """A clear error that names the setting, not an outage that never ends."""
    with pytest.raises(LedgerError, match=SETTING) as caught:
        connect(replace(config, transaction_pooler=False))
    assert not isinstance(caught.value, LedgerUnavailable)


def test_a_pooler_that_swallows_our_settings_is_refused(postgres_server, config):
    """`ignore_startup_parameters = options` hides the pooler from the connect, not from us."""
    with PgBouncerServer(postgres_server, settings={"ignore_startup_parameters": "options"}) as server:
        name = config.url.rpartition("/")[2]
        with pytest.raises(LedgerError, match=SETTING):
            connect(replace(config, url=server.url_of(name), transaction_pooler=False))
        connect(replace(config, url=server.url_of(name))).close()


def test_a_pooler_restarted_costs_a_clear_error_at_most(ledger, bouncer):
    """Like a restart of the database: the next call is served."""
    ledger.enqueue([a_new_job()])
    bouncer.restart()
    ledger.enqueue([a_new_job()])
    assert 2 == sum(count.count for count in ledger.counts())
