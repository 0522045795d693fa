"""A fresh ledger for each test, once on SQLite and once on a real PostgreSQL."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from holdfast.jobs.ids import JobId, new_lease_token
from holdfast.jobs.job import Claim, ClaimRequest
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.records import NewWorker
from holdfast.tests.support.builders import QUEUE, a_worker, an_offer
from holdfast.tests.support.migrated import migrated


@pytest.fixture
def config(database_url: str) -> LedgerConfig:
    """Where the test's ledger is; in a schema of its own where there are schemas."""
    config = LedgerConfig(url=database_url, schema="holdfast_test", lock_timeout_seconds=5.0)
    migrated(config)
    return config


@pytest.fixture
def ledger(config: LedgerConfig) -> Iterator[Ledger]:
    """An open ledger without jobs or workers."""
    ledger = connect(config)
    yield ledger
    ledger.close()


@pytest.fixture
def worker(ledger: Ledger) -> NewWorker:
    """A living worker that offers the test task."""
    worker = a_worker()
    ledger.register_worker(worker, [an_offer()])
    return worker


@pytest.fixture
def claim(ledger: Ledger, worker: NewWorker):
    """Claim one job for the worker: the named one, or the next."""

    def claim_one(job_id: JobId | None = None, *, by: NewWorker = worker) -> Claim:
        claims = ledger.claim(
            by.id,
            [ClaimRequest(new_lease_token(), job_id)],
            queues=[QUEUE],
            default_attempt_seconds=60.0,
            hard_limits={},
        )
        assert 1 == len(claims)
        return claims[0]

    return claim_one


@pytest.fixture
def by_hand(ledger: Ledger, config: LedgerConfig):
    """Change rows as somebody with a database console would."""

    def execute(statement: str, **values: object) -> None:
        with ledger.session() as session:
            if session.get_bind().dialect.name == "postgresql":
                session.connection().exec_driver_sql(f"SET LOCAL search_path TO {config.schema}")
            session.connection().execute(text(statement), values)
            session.commit()

    return execute
