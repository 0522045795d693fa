"""Builders, one per noun: a test names only what it is about."""

import itertools
from typing import Any

from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import JobId, LeaseToken, WorkerId, new_job_id, new_lease_token, new_worker_id
from holdfast.jobs.job import Claim, ClaimRequest, Job, NewJob, Offer, Settlement
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.outcome import Completed, Outcome
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.ledger.records import NewWorker

TASK = "tests.echo"
QUEUE = "default"

_numbers = itertools.count(1)


def a_new_job(**fields: Any) -> NewJob:  # noqa: ANN401  the fields of NewJob, whose own types check them
    """A request that any test worker can run."""
    return NewJob(**{"id": new_job_id(), "task": TASK, "arguments": '{"text":"hello"}', "queue": QUEUE, **fields})


def a_job(**fields: Any) -> Job:  # noqa: ANN401  the fields of Job, whose own types check them
    """A job as the ledger returns it, available unless said otherwise; for code that only reads jobs."""
    from_now = fields.pop("created_at")
    return Job(created_at=from_now, **fields)


def an_offer(**fields: Any) -> Offer:  # noqa: ANN401  the fields of Offer, whose own types check them
    """What a test worker can run."""
    return Offer(**{"task": TASK, "version": "1", "queue": QUEUE, **fields})


def a_worker(**fields: Any) -> NewWorker:  # noqa: ANN401  the fields of NewWorker, whose own types check them
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


def a_lease(**fields: Any) -> Lease:  # noqa: ANN401  the fields of Lease, whose own types check them
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
