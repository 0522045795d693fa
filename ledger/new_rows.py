"""Requests as rows: what a batch of new jobs carries into the database."""

import json
import math
from datetime import datetime
from typing import Any, Final

from holdfast.jobs.claim_check import LARGEST_EVER_BYTES
from holdfast.jobs.errors import InvalidArguments
from holdfast.jobs.ids import is_job_id
from holdfast.jobs.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, NewJob
from holdfast.jobs.tags import tags_of
from holdfast.ledger.batch import is_storable
from holdfast.ledger.schema_rules import LONGEST_KEY, LONGEST_NAME
from holdfast.ledger.types import bounded_seconds, instant_text

_FIRST_YEAR: Final = 1971
_LAST_YEAR: Final = 8800
_TEXTS: Final = {
    "task": LONGEST_NAME,
    "version": LONGEST_NAME,
    "queue": LONGEST_NAME,
    "tenant": LONGEST_NAME,
    "principal": LONGEST_NAME,
    "trace": LONGEST_NAME,
    "key": LONGEST_KEY,
    "arguments": LARGEST_EVER_BYTES,
}


def row_of(job: NewJob) -> dict[str, Any]:
    """Write a request as the row of a batch. Raises InvalidArguments for what no table can hold."""
    _check(job)
    return {
        "id": job.id,
        "task": job.task,
        "version": job.version,
        "queue": job.queue,
        "priority": job.priority,
        "tenant": job.tenant,
        "principal": job.principal,
        "arguments": job.arguments,
        "trace": job.trace,
        "key": job.key,
        "soft_timeout_seconds": _seconds_or_none(job.soft_timeout_seconds),
        "hard_timeout_seconds": _seconds_or_none(job.hard_timeout_seconds),
        "cohort": job.cohort,
        "tags": json.dumps(job.tags, ensure_ascii=False) if job.tags else None,
        "parent_id": None if job.parentage is None else job.parentage.parent_id,
        "child_group": None if job.parentage is None else job.parentage.group,
        "child_position": None if job.parentage is None else job.parentage.position,
        "run_at": None if job.run_at is None else instant_text(job.run_at),
        "delay": bounded_seconds(job.delay_seconds),
        "scheduled_for": None if job.scheduled_for is None else instant_text(job.scheduled_for),
        "deadline_at": None if job.deadline_at is None else instant_text(job.deadline_at),
        "deadline_seconds": _seconds_or_none(job.deadline_seconds),
        "reason": None,
        "detail": None,
        "waiting_for": None,
        "unique_while": None if job.unique is None else " ".join(sorted(job.unique.policy.states)),
    }


def _check(job: NewJob) -> None:
    """Refuse what the tables would refuse, and say which field it is."""
    if not is_job_id(job.id):
        raise InvalidArguments(
            detail=f"{job.id!r} is no job id: 1 to 255 printable ASCII characters without a space"
        )
    for name in _TEXTS:
        text_or_none = getattr(job, name)
        if text_or_none is None:
            continue
        longest = _TEXTS[name]
        if len(text_or_none) > longest:
            raise InvalidArguments(
                job_id=job.id, detail=f"{name} has {len(text_or_none)} characters, at most {longest}"
            )
        if not is_storable(text_or_none):
            raise InvalidArguments(job_id=job.id, detail=f"{name} holds a NUL character or a lone surrogate")
    if not HIGHEST_PRIORITY <= job.priority <= LOWEST_PRIORITY:
        raise InvalidArguments(
            job_id=job.id, detail=f"priority {job.priority} is not within 0 (first) to 9 (last)"
        )
    try:
        tags_of(job.tags)
    except ValueError as error:
        raise InvalidArguments(job_id=job.id, detail=str(error)) from error
    _check_instant(job, "run_at", job.run_at)
    _check_instant(job, "deadline_at", job.deadline_at)
    _check_instant(job, "scheduled_for", job.scheduled_for)
    is_newest = job.unique is not None and job.unique.policy.on_conflict == "cancel_running"
    if is_newest and (job.run_at is not None or job.delay_seconds > 0):
        raise InvalidArguments(
            job_id=job.id, detail="with cancel_running a job begins as soon as it can, and has no delay"
        )


def _check_instant(job: NewJob, name: str, instant: datetime | None) -> None:
    if instant is None:
        return
    if instant.tzinfo is None:
        raise InvalidArguments(job_id=job.id, detail=f"{name} {instant} has no time zone")
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise InvalidArguments(
            job_id=job.id, detail=f"{name} {instant} is not within the years {_FIRST_YEAR} to {_LAST_YEAR}"
        )


def _seconds_or_none(seconds: float | None) -> float | None:
    return None if seconds is None or math.isnan(seconds) else bounded_seconds(seconds)
