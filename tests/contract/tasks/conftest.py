"""A client on a real ledger, once per database, and a hand that plays the worker."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.events import Event, Events
from holdfast.jobs.ids import JobId, new_lease_token
from holdfast.jobs.job import Claim, ClaimRequest, Ring, Settlement
from holdfast.jobs.outcome import Completed, Outcome
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.tasks import Client, Registry, TaskContext, task, use
from holdfast.tests.support.builders import a_worker
from holdfast.tests.support.migrated import migrated


class Bell:
    """Writes down which jobs were rung for."""

    def __init__(self) -> None:
        """Begin with silence."""
        self.rung: list[str] = []

    def ring(self, rings: Sequence[Ring]) -> None:
        """Note the rings."""
        self.rung += [ring.job_id for ring in rings]

    def close(self, timeout_seconds: float = 0.0) -> None:
        """Have nothing to close."""


class Hand:
    """Plays the worker: claims and settles jobs one by one."""

    def __init__(self, ledger: Ledger, registry: Registry) -> None:
        """Register a worker that offers all tasks of the registry."""
        self._ledger = ledger
        self._worker = a_worker()
        ledger.register_worker(self._worker, [one.spec.offer() for one in registry])

    def claim(self, job_id: str | None = None) -> Claim:
        """Claim this job, or the next one."""
        request = ClaimRequest(new_lease_token(), JobId(job_id) if job_id else None)
        claims = self._ledger.claim(
            self._worker.id, [request], queues=("default",), default_attempt_seconds=60.0, hard_limits={}
        )
        assert claims, "nothing to claim"
        return claims[0]

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """End the attempt."""
        settled = self._ledger.settle([Settlement(claim.lease, outcome)])[0]
        assert not settled.is_lost

    def run(self, job_id: str, outcome: Outcome | None = None) -> None:
        """Claim and end one job."""
        self.settle(self.claim(job_id), outcome or Completed('"done"'))


@pytest.fixture
def registry() -> Registry:
    """The tasks of a test."""
    return Registry()


@pytest.fixture
def greet(registry):
    """A task with an argument of each colour."""

    @task(name="tests.greet", registry=registry)
    async def greet(ctx: TaskContext, name: str, times: int = 1) -> str:
        return f"{ctx.attempt} {name}" * times

    return greet


@pytest.fixture
def ledger_config(database_url: str) -> LedgerConfig:
    """A migrated database."""
    config = LedgerConfig(database_url, schema="holdfast")
    migrated(config)
    return config


@pytest.fixture
def ledger(ledger_config: LedgerConfig) -> Iterator[Ledger]:
    """A connected ledger."""
    ledger = connect(ledger_config)
    yield ledger
    ledger.close()


@pytest.fixture
def bell() -> Bell:
    """A doorbell that remembers."""
    return Bell()


@pytest.fixture
def emitted() -> list[Event]:
    """The events that the client emitted."""
    return []


@pytest.fixture
def client(ledger, bell, registry, emitted) -> Iterator[Client]:
    """The client in use."""
    client = Client(ledger, bell, events=Events(emitted.append), registry=registry)
    with use(client):
        yield client
    client.close()


@pytest.fixture
def client_with_limit(ledger, ledger_config, bell, registry, emitted) -> Iterator[Client]:
    """The client in use, where one job may wait in the default queue."""
    limited = connect(replace(ledger_config, backlog_limits=limits_of(["default=1"])))
    client = Client(limited, bell, events=Events(emitted.append), registry=registry)
    with use(client):
        yield client
    client.close()
    limited.close()


@pytest.fixture
def hand(ledger, greet, registry) -> Hand:
    """A worker to play with."""
    return Hand(ledger, registry)
