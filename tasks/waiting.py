"""Wait for the end of a job: how often to ask, and what the answer means."""

from collections.abc import Iterator
from typing import Final

from holdfast.jobs.clock import random_fraction
from holdfast.jobs.errors import JobCancelled, JobQuarantined
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.5
_GROWTH: Final = 1.6
_JITTER: Final = 0.25


def pauses(
    first_seconds: float = FIRST_PAUSE_SECONDS, longest_seconds: float = LONGEST_PAUSE_SECONDS
) -> Iterator[float]:
    """Give the seconds between one question and the next: short at first, up to a quarter shorter by chance.

    The chance keeps a thousand waiters that began together from asking together.
    """
    seconds = min(first_seconds, longest_seconds)
    while True:
        yield seconds * (1 - _JITTER * random_fraction())
        seconds = min(seconds * _GROWTH, longest_seconds)


def result_text(job: Job) -> str:
    """Return the result of a job that is final, as JSON text.

    Raises JobQuarantined with the reason and what failed, or JobCancelled.
    """
    if job.state is JobState.COMPLETED:
        return job.result if job.result is not None else "null"
    if job.state is JobState.CANCELLED:
        raise JobCancelled(job_id=job.id, detail=job.detail or "")
    raise JobQuarantined(job_id=job.id, detail=why_quarantined(job))


def why_quarantined(job: Job) -> str:
    """Say the reason, and the type and message of the failure if there was one."""
    parts = [str(job.reason) if job.reason else "no reason given"]
    if job.failure is not None:
        parts.append(f"{job.failure.type}: {job.failure.message}")
    elif job.detail:
        parts.append(job.detail)
    return ", ".join(parts)
