"""Rows become records, one at a time: a row that cannot is named, and stops no other (G5)."""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Row

from holdfast.jobs import codec
from holdfast.jobs.children import ChildEnd
from holdfast.jobs.errors import JobError, LedgerError
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import JobId, LeaseToken, WorkerId
from holdfast.jobs.job import Attempt, Job, LeftBehind, Leftover, Progress, Ring, WorkerRow
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.schedules.definition import Definition, Source
from holdfast.jobs.schedules.missed import Missed
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.records import JobMoment, OfferRow, ParkedGroup, QueueCount, QueuedMessage
from holdfast.ledger.schedule_records import Schedule

T = TypeVar("T")
AnyRow = Row[Any]

UNREADABLE: Final = "unreadable"

_log: Final = logging.getLogger(__name__)


class BadRow(LedgerError):
    """A row of the ledger cannot be read."""

    code = "bad_row"
    hint = "Somebody wrote it by hand; mend or delete it in the database."


def readable(rows: Iterable[AnyRow], read: Callable[[AnyRow], T]) -> list[T]:
    """Read what can be read; the rest is logged and left out."""
    records: list[T] = []
    for row in rows:
        try:
            records.append(read(row))
        except BadRow as error:
            _log.warning("left out: %s", error)
    return records


def job(row: AnyRow) -> Job:
    """Read a job; raises BadRow."""
    try:
        return Job(
            id=JobId(_text(row.id)),
            task=_text(row.task),
            version=_text(row.version),
            queue=_text(row.queue),
            state=JobState(row.state),
            arguments=_text(row.arguments),
            created_at=_instant(row.created_at),
            run_at=_instant(row.run_at),
            priority=int(row.priority),
            tenant=row.tenant,
            principal=_text(row.principal),
            generation=int(row.generation),
            attempt=int(row.attempt),
            claims=int(row.claims),
            wake_seq=int(row.wake_seq),
            fence=Fence(int(row.fence_incarnation), int(row.fence_counter)),
            reason=QuarantineReason(row.reason) if row.reason is not None else None,
            detail=row.detail,
            result=row.result,
            failure=failure(row.failure),
            progress=_progress(row.progress),
            deadline_at=_maybe_instant(row.deadline_at),
            expires_at=_maybe_instant(row.expires_at),
            started_at=_maybe_instant(row.started_at),
            finished_at=_maybe_instant(row.finished_at),
            worker_id=WorkerId(row.worker_id) if row.worker_id is not None else None,
            attempt_ends_at=_maybe_instant(row.attempt_ends_at),
            cancel_requested_at=_maybe_instant(row.cancel_requested_at),
            soft_timeout_seconds=_maybe_number(row.soft_timeout_seconds),
            hard_timeout_seconds=_maybe_number(row.hard_timeout_seconds),
            trace=row.trace,
            key=row.key,
            cohort=None if row.cohort is None else int(row.cohort),
            crashes=int(row.crashes),
            waiting_for=row.waiting_for,
            ticket=row.ticket,
            tags=() if row.tags is None else _tags(row.tags),
            parent_id=None if row.parent_id is None else JobId(row.parent_id),
            scheduled_for=_maybe_instant(row.scheduled_for),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow(job_id=str(row.id), detail=str(error)[:200]) from error


def rings(moved: Iterable[AnyRow]) -> list[Ring]:
    """Return the rings for jobs that became available; none calls for one that runs apart."""
    return [Ring(JobId(row.id), row.task, row.queue, row.priority) for row in moved if row.cohort is None]


def child_end(row: AnyRow) -> ChildEnd:
    """Read how a child stands; raises BadRow."""
    try:
        return ChildEnd(
            job_id=JobId(row.id),
            group=_text(row.child_group),
            position=int(row.child_position),
            task=_text(row.task),
            state=JobState(row.state),
            reason=QuarantineReason(row.reason) if row.reason is not None else None,
            detail=row.detail,
            result=row.result,
            failure=failure(row.failure),
            finished_at=_maybe_instant(row.finished_at),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow(job_id=str(row.id), detail=str(error)[:200]) from error


def lease(row: AnyRow) -> Lease:
    """Read the lease of a running job."""
    return Lease(
        job_id=JobId(row.id),
        token=LeaseToken(row.lease_token),
        worker_id=WorkerId(row.worker_id),
        fence=Fence(int(row.fence_incarnation), int(row.fence_counter)),
        attempt=int(row.attempt),
    )


def attempt(row: AnyRow) -> Attempt:
    """Read an attempt; raises BadRow."""
    try:
        return Attempt(
            job_id=JobId(row.job_id),
            token=LeaseToken(row.token),
            generation=int(row.generation),
            number=int(row.number),
            fence=Fence(int(row.fence_incarnation), int(row.fence_counter)),
            worker_id=WorkerId(row.worker_id),
            started_at=_instant(row.started_at),
            ended_at=_maybe_instant(row.ended_at),
            outcome=row.outcome,
            failure=failure(row.failure),
            late=row.late,
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow(job_id=str(row.job_id), detail=f"attempt: {error}"[:200]) from error


def moment(row: AnyRow) -> JobMoment:
    """Read a moment; raises BadRow."""
    try:
        return JobMoment(
            job_id=JobId(row.job_id),
            seq=int(row.seq),
            at=_instant(row.at),
            kind=_text(row.kind),
            state=JobState(row.state),
            attempt=int(row.attempt),
            detail=row.detail,
        )
    except (TypeError, ValueError) as error:
        raise BadRow(job_id=str(row.job_id), detail=f"moment: {error}"[:200]) from error


def worker(row: AnyRow) -> WorkerRow:
    """Read a worker; raises BadRow."""
    try:
        return WorkerRow(
            id=WorkerId(_text(row.id)),
            name=_text(row.name),
            host=_text(row.host),
            pid=int(row.pid),
            version=_text(row.version),
            is_alive=bool(row.alive),
            beat_seq=int(row.beat_seq),
            started_at=_instant(row.started_at),
            seen_at=_instant(row.seen_at),
            slots=int(row.slots),
            queues=_names(row.queues),
            machine_id=_text(row.machine_id),
            started_marker=_text(row.started_marker),
            has_lane=bool(row.has_lane),
        )
    except (TypeError, ValueError) as error:
        raise BadRow(detail=f"worker {row.id}: {error}"[:200]) from error


def offer(row: AnyRow) -> OfferRow:
    """Read an offer."""
    return OfferRow(
        worker_id=WorkerId(row.worker_id),
        worker=row.name,
        task=row.task,
        version=row.version,
        queue=row.queue,
        schema=row.schema,
        isolated=bool(row.isolated),
    )


def message(row: AnyRow) -> QueuedMessage:
    """Read a quarantined message; raises BadRow."""
    try:
        return QueuedMessage(
            id=int(row.id),
            queue=_text(row.queue),
            reason=QuarantineReason(row.reason),
            detail=_text(row.detail),
            source=_text(row.source),
            raw=_bytes(row.raw),
            size=int(row.size),
            digest=_text(row.digest),
            count=int(row.times),
            first_seen_at=_instant(row.first_seen_at),
            last_seen_at=_instant(row.last_seen_at),
            envelope=None if row.envelope is None else _text(row.envelope),
            replays=int(row.replays),
            replayed_at=_maybe_instant(row.replayed_at),
        )
    except (TypeError, ValueError) as error:
        raise BadRow(detail=f"message {row.id}: {error}"[:200]) from error


def queue_count(row: AnyRow) -> QueueCount:
    """Read a count; raises BadRow."""
    try:
        return QueueCount(
            queue=row.queue,
            state=JobState(row.state),
            count=int(row.how_many),
            oldest_seconds=max(0.0, float(row.oldest or 0.0)),
        )
    except (TypeError, ValueError) as error:
        raise BadRow(detail=f"count of {row.queue}: {error}"[:200]) from error


def parked_group(row: AnyRow) -> ParkedGroup:
    """Read a group of parked jobs; raises BadRow."""
    try:
        return ParkedGroup(
            waiting_for=_text(row.waiting_for),
            priority=int(row.priority),
            tenant=row.tenant,
            waiting=int(row.waiting),
            since=_instant(row.since),
        )
    except (TypeError, ValueError) as error:
        raise BadRow(detail=f"parked for {row.waiting_for}: {error}"[:200]) from error


def schedule(row: AnyRow) -> Schedule:
    """Read a schedule; raises BadRow."""
    try:
        return Schedule(
            definition=Definition(
                name=_text(row.name),
                rule=_text(row.rule),
                task=_text(row.task),
                arguments=_text(row.arguments),
                zone=_text(row.zone),
                missed=Missed(row.missed),
                version=_text(row.version),
                queue=_text(row.queue),
                priority=int(row.priority),
                tenant=row.tenant,
                deadline_seconds=_maybe_number(row.deadline_seconds),
                cohort=None if row.cohort is None else int(row.cohort),
            ),
            source=Source(row.source),
            release=int(row.release),
            anchor=_instant(row.anchor),
            next_tick=_instant(row.next_tick),
            last_tick=_maybe_instant(row.last_tick),
            ticks=int(row.ticks),
            paused_at=_maybe_instant(row.paused_at),
            pause_reason=_text(row.pause_reason),
            created_at=_instant(row.created_at),
            changed_at=_instant(row.changed_at),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow(detail=f"schedule {row.name}: {error}"[:200]) from error


def leftover(row: AnyRow, *, worker_id: str | None, why: str, ticket: str | None = None) -> Leftover:
    """Read what a sweep did to a job."""
    return Leftover(
        job_id=JobId(row.id),
        task=row.task,
        queue=row.queue,
        state=JobState(row.state),
        worker_id=WorkerId(worker_id) if worker_id is not None else None,
        why=why,
        ticket=ticket,
    )


def failure(text: str | None) -> Failure | None:
    """Read a failure; text that is none is shown as one."""
    if text is None:
        return None
    try:
        fields = codec.decode(text)
        if isinstance(fields, dict):
            return Failure(
                type=_text(fields["type"]),
                message=_text(fields["message"]),
                traceback=_text(fields["traceback"]),
            )
    except (JobError, KeyError, TypeError) as error:
        return Failure(type=UNREADABLE, message=f"the ledger's text is no failure: {error}"[:200])
    return Failure(type=UNREADABLE, message="the ledger's text is no failure")


def left_behind(row: AnyRow) -> LeftBehind:
    """Read what a worker left behind; a report that cannot be read is no report."""
    said = _progress(row.progress)
    return LeftBehind(
        job_id=JobId(row.id),
        token=LeaseToken(row.lease_token),
        seconds=max(0.0, float(row.seconds or 0.0)),
        said=said.text if said is not None else "",
    )


def _progress(text: str | None) -> Progress | None:
    if text is None:
        return None
    try:
        fields = codec.decode(text)
        if not isinstance(fields, dict):
            return None
        total = fields.get("total")
        return Progress(
            done=_number(fields["done"]),
            total=None if total is None else _number(total),
            text=_text(fields.get("text", "")),
        )
    except (JobError, KeyError, TypeError):
        return None


def _names(text: str) -> tuple[str, ...]:
    values = json.loads(text)
    if not isinstance(values, list):
        raise TypeError("queues is no list")
    return tuple(_text(value) for value in cast("list[object]", values))


def _tags(text: str) -> tuple[str, ...]:
    try:
        values = codec.decode(text)
    except JobError as error:
        raise ValueError(f"tags: {error}") from error
    if not isinstance(values, list):
        raise TypeError("tags is no list")
    return tuple(_text(value) for value in values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text belongs")
    return value


def _bytes(value: object) -> bytes:
    # bytes(5) would be five zeros.
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} where bytes belong")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} where a number belongs")
    return float(value)


def _maybe_number(value: object) -> float | None:
    return None if value is None else _number(value)


def _instant(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} where an instant belongs")
    return value


def _maybe_instant(value: object) -> datetime | None:
    return None if value is None else _instant(value)
