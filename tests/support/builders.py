"""Builders, one per noun: a test names only what it is about."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import new_job_id, new_lease_token, new_worker_id
from holdfast.jobs.job import Claim, Job, NewJob, Offer, Settlement
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.outcome import Completed, Outcome
from holdfast.jobs.schedules.definition import Definition
from holdfast.jobs.state import JobState
from holdfast.ledger import LedgerConfig
from holdfast.ledger.records import NewWorker
from holdfast.workers.companion.introduction import LifeTerms
from holdfast.workers.config import WorkerConfig

TASK: Final = "tests.echo"
QUEUE: Final = "default"
SOME_TIME: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)

_numbers = itertools.count(1)


def a_new_job(**fields: Any) -> NewJob:
    """A request that any test worker can run."""
    defaults: dict[str, Any] = {
        "id": new_job_id(),
        "task": TASK,
        "arguments": '{"text":"hello"}',
        "queue": QUEUE,
    }
    return NewJob(**{**defaults, **fields})


def a_job(**fields: Any) -> Job:
    """A job as the ledger returns it, available unless said otherwise; for code that only reads jobs."""
    defaults: dict[str, Any] = {
        "id": new_job_id(),
        "task": TASK,
        "version": "1",
        "queue": QUEUE,
        "state": JobState.AVAILABLE,
        "arguments": '{"text":"hello"}',
        "created_at": SOME_TIME,
        "run_at": SOME_TIME,
    }
    return Job(**{**defaults, **fields})


def a_claim(**fields: Any) -> Claim:
    """A granted claim on a job of these fields; for code that runs jobs without a ledger."""
    job = a_job(**{"state": JobState.RUNNING, "attempt": 1, "claims": 1, "fence": Fence(1, 1), **fields})
    worker_id = job.worker_id or new_worker_id()
    return Claim(
        Lease(job.id, new_lease_token(), worker_id, job.fence, job.attempt), replace(job, worker_id=worker_id)
    )


def a_definition(**fields: Any) -> Definition:
    """A schedule of the test task, of each minute."""
    defaults: dict[str, Any] = {"name": "nightly", "rule": "every 60s", "task": TASK}
    return Definition(**{**defaults, **fields})


def an_offer(**fields: Any) -> Offer:
    """What a test worker can run."""
    defaults: dict[str, Any] = {"task": TASK, "version": "1", "queue": QUEUE}
    return Offer(**{**defaults, **fields})


def a_worker(**fields: Any) -> NewWorker:
    """A worker process that reports for duty, with an id and a name of its own."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "id": new_worker_id(),
        "name": f"worker-{number}",
        "host": "testhost",
        "pid": 1000 + number,
        "version": "1.0",
        "slots": 10,
        "queues": (QUEUE,),
    }
    return NewWorker(**{**defaults, **fields})


def a_config(**fields: Any) -> WorkerConfig:
    """What a worker is told that does everything within moments, on an idle machine."""
    defaults: dict[str, Any] = {
        "name": "worker-1",
        "version": "1",
        "host": "here",
        "queues": (QUEUE,),
        "slots": 4,
        "threads": 2,
        "ring_window": 8,
        "beat_seconds": 0.02,
        "lease_seconds": 5.0,
        "unsure_limit_seconds": 60.0,
        "grace_seconds": 0.05,
        "soft_timeout_seconds": None,
        "hard_timeout_seconds": 60.0,
        "result_largest_bytes": 1024,
        "arguments_largest_bytes": 1024,
        "reconnect_longest_seconds": 1.0,
        "spool_largest_bytes": 1024**2,
    }
    return WorkerConfig(**{**defaults, **fields})


def a_lease(**fields: Any) -> Lease:
    """A lease that no ledger ever gave."""
    defaults: dict[str, Any] = {
        "job_id": new_job_id(),
        "token": new_lease_token(),
        "worker_id": new_worker_id(),
        "fence": Fence(1, 1),
        "attempt": 1,
    }
    return Lease(**{**defaults, **fields})


def a_settlement(lease: Lease, outcome: Outcome | None = None) -> Settlement:
    """The end of an attempt: completed, unless said otherwise."""
    return Settlement(lease, Completed('"done"') if outcome is None else outcome)


def a_failure(message: str = "it broke") -> Failure:
    """What went wrong."""
    return Failure(type="builtins.RuntimeError", message=message, traceback="Traceback")


def life_terms() -> LifeTerms:
    """How a companion judges its worker; with a ledger that nobody connects to."""
    return LifeTerms(
        name="worker-1",
        beat_seconds=0.5,
        lease_seconds=2.0,
        stall_seconds=10.0,
        log_as_json=True,
        log_level="info",
        ledger=LedgerConfig(url="postgresql://user:s3cret@db/jobs", schema="mine"),
        spool="/var/lib/holdfast/spool",
        spool_prefix="ledger.process.",
    )
