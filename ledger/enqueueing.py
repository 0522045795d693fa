"""How jobs get into the ledger: by enqueue, in the caller's transaction or our own, and by adoption."""

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from holdfast.jobs import codec
from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.errors import InvalidArguments, KeyBusy, LedgerError
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId, is_job_id
from holdfast.jobs.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, Enqueued, NewJob
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.batch import chunked, is_storable, packed, packed_with_ids
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.schema import LONGEST_DETAIL, LONGEST_KEY, LONGEST_NAME
from holdfast.ledger.statements import enqueue, meta
from holdfast.ledger.statements.quarantine import REFUSE
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.translate import Trouble, translated, trouble
from holdfast.ledger.types import bounded_seconds, instant_text

Adoption = Literal["adopted", "known", "id_reused"]

TOMBSTONE_SECONDS: Final = 14 * 24 * 3600.0
"""How long an adopted id is remembered: twice an intake's visibility timeout of a week."""
MOST_ON_SQLITE: Final = 50_000
"""Jobs in one call on SQLite: about five seconds of its one writer, a quarter of a lease (B28)."""
_FEW_CHARACTERS: Final = 400
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
    "arguments": LARGEST_BYTES,
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: QuarantineReason
    detail: str


class Enqueueing:
    """Writes new jobs."""

    def __init__(self, transactions: Transactions, config: LedgerConfig) -> None:
        """Work in these transactions; the lock timeout is set in callers' transactions too."""
        self._age = {enqueue.TOTAL_AGE_SECONDS: config.total_age_seconds}
        self.ledger_id = ""
        self._transactions = transactions
        self._lock_timeout = f"{round(config.lock_timeout_seconds * 1000)}ms"
        self._known_engines: weakref.WeakSet[Engine] = weakref.WeakSet()

    def enqueue(self, jobs: Sequence[NewJob], *, connection: Connection | None = None) -> list[Enqueued]:
        """Write all jobs or none."""
        if not jobs:
            return []
        if len(jobs) > MOST_ON_SQLITE and not self._transactions.is_postgresql:
            raise InvalidArguments(
                detail=f"{len(jobs)} jobs at once would keep SQLite's one writer from the heartbeats",
                hint=f"Enqueue at most {MOST_ON_SQLITE} at a time, or use PostgreSQL.",
            )
        batch = _Requests(jobs)
        if connection is None:
            return self._transactions.write(
                lambda ours: self._add(ours, batch, is_ours=True), doing="enqueue"
            )
        self._check_same_ledger(connection)
        try:
            if self._transactions.is_postgresql:
                connection.execute(
                    text("SELECT set_config('lock_timeout', :value, true)"), {"value": self._lock_timeout}
                )
            return self._add(connection, batch, is_ours=False)
        except SQLAlchemyError as error:
            raise translated(error, doing="enqueue in a transaction of the caller") from error

    def adopt(self, job: NewJob, payload_digest: str) -> Adoption:
        """Turn a foreign message into a job, once."""
        return self._adopt(job, payload_digest, None)

    def refuse(self, job: NewJob, reason: QuarantineReason, detail: str, payload_digest: str) -> Adoption:
        """Write a foreign message that may not run as a quarantined job."""
        return self._adopt(job, payload_digest, _Refusal(reason, storable_text(detail)[:LONGEST_DETAIL]))

    def _add(self, connection: Connection, batch: "_Requests", *, is_ours: bool) -> list[Enqueued]:
        owners = self._take_keys(connection, batch, is_ours=is_ours)
        ids = [str(row["id"]) for row in batch.rows]
        # A request whose key belongs to another job is answered with that job, and not written.
        answered = [owners.get(job_id, job_id) for job_id in ids]
        wanted = [
            row for row, owner, job_id in zip(batch.rows, answered, ids, strict=True) if owner == job_id
        ]
        created = self._insert(connection, wanted, kind="enqueue")
        known = self._states(connection, sorted(set(answered) - created.keys()))
        states = {**batch.ended, **known, **created}
        fresh = set(created)
        answers: list[Enqueued] = []
        for owner, job_id in zip(answered, ids, strict=True):
            is_new = owner == job_id and owner in fresh
            fresh.discard(owner)
            # Without row and note, all we know is that it has ended.
            answers.append(Enqueued(JobId(owner), is_new, JobState(states.get(owner, JobState.COMPLETED))))
        return answers

    def _insert(self, connection: Connection, rows: list[dict[str, Any]], *, kind: str) -> dict[str, str]:
        created: dict[str, str] = {}
        for chunk in chunked(rows, _size_of):
            added = self._transactions.run(
                connection, enqueue.add_jobs(), {**packed(chunk), **self._age}
            ).all()
            created |= {row.id: row.state for row in added}
            moments = [
                {"id": row.id, "seq": 1, "kind": kind, "state": row.state, "attempt": 0, "detail": None}
                for row in added
            ]
            if moments:
                self._transactions.run(connection, enqueue.add_moments(), packed(moments))
        return created

    def _take_keys(self, connection: Connection, batch: "_Requests", *, is_ours: bool) -> dict[str, str]:
        """Return, for each request with a key, the id of the job that holds it."""
        owners: dict[str, str] = {}
        for chunk in chunked(batch.keys, lambda _: _FEW_CHARACTERS):
            try:
                owners |= self._take(connection, chunk, batch)
            except SQLAlchemyError as error:
                kind = trouble(error)
                # Our own transaction is repeated after a conflict; the caller's is not ours to repeat.
                if kind is Trouble.LOCKED or (kind is Trouble.CONFLICT and not is_ours):
                    raise KeyBusy(
                        detail="the rival is still open, or not visible to this transaction"
                    ) from error
                raise
        if not owners.keys() >= set(batch.digests.values()):
            raise KeyBusy(detail="the rival that held the key vanished while we looked")
        return {job_id: owners[digest] for job_id, digest in batch.digests.items()}

    def _take(self, connection: Connection, keys: list[dict[str, Any]], batch: "_Requests") -> dict[str, str]:
        """Take what is free of a part of the keys; returns the owner of each by digest."""
        ours = set(self._transactions.run(connection, enqueue.take_keys(), packed(keys)).scalars())
        owners = {str(row["digest"]): str(row["id"]) for row in keys if row["digest"] in ours}
        missing = [row for row in keys if row["digest"] not in ours]
        if missing:
            for row in self._transactions.run(connection, enqueue.holders(), packed(missing)):
                owners[row.digest] = row.job_id
                if row.state is not None:
                    batch.ended[row.job_id] = row.state
        return owners

    def _states(self, connection: Connection, job_ids: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for chunk in chunked([{"id": job_id} for job_id in job_ids], lambda _: 100):
            rows = self._transactions.run(connection, enqueue.states(), packed_with_ids(chunk)).all()
            found |= {row.id: row.state for row in rows}
        return found

    def _adopt(self, job: NewJob, digest: str, refusal: _Refusal | None) -> Adoption:
        row = _row(job)
        kind = "adopt"
        if refusal is not None:
            row |= {"reason": refusal.reason.value, "detail": refusal.detail}
            kind = REFUSE

        def work(connection: Connection) -> Adoption:
            bury = enqueue.bury(job.id, digest, TOMBSTONE_SECONDS)
            if self._transactions.run(connection, bury).first() is None:
                note = self._transactions.run(connection, enqueue.buried(job.id)).first()
                return "known" if note is not None and note.digest == digest else "id_reused"
            if not self._insert(connection, [row], kind=kind):
                raise _IdTaken
            return "adopted"

        try:
            return self._transactions.write(work, doing="adopt a message")
        except _IdTaken:
            # A job of this id was enqueued by other means; the note went with the transaction.
            return "id_reused"

    def _check_same_ledger(self, connection: Connection) -> None:
        if connection.engine in self._known_engines:
            return
        try:
            theirs = self._transactions.run(connection, meta.fact("ledger_id")).scalar()
        except SQLAlchemyError as error:
            raise LedgerError(
                detail="the connection's database has no ledger",
                hint="Pass a session of the ledger's own database.",
            ) from error
        if theirs != self.ledger_id:
            raise LedgerError(
                detail="the connection belongs to another ledger",
                hint="Pass a session of the ledger's own database.",
            )
        self._known_engines.add(connection.engine)


class _IdTaken(Exception):
    """A job with the message's id exists."""


class _Requests:
    """New jobs as rows, and the keys that they ask for."""

    def __init__(self, jobs: Sequence[NewJob]) -> None:
        self.rows = [_row(job) for job in jobs]
        self.digests: dict[str, str] = {
            job.id: codec.digest(f"{job.task}\0{job.key}") for job in jobs if job.key is not None
        }
        first: dict[str, dict[str, Any]] = {}
        for job in jobs:
            if job.key is not None:
                wish = {"id": job.id, "seconds": bounded_seconds(job.key_seconds)}
                first.setdefault(self.digests[job.id], wish)
        # In one order everywhere, so that two batches cannot block each other.
        self.keys = [{"digest": digest, **first[digest]} for digest in sorted(first)]
        self.ended: dict[str, str] = {}


def _row(job: NewJob) -> dict[str, Any]:
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
        "run_at": None if job.run_at is None else instant_text(job.run_at),
        "delay": bounded_seconds(job.delay_seconds),
        "deadline_at": None if job.deadline_at is None else instant_text(job.deadline_at),
        "deadline_seconds": _seconds_or_none(job.deadline_seconds),
        "reason": None,
        "detail": None,
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
    _check_instant(job, "run_at", job.run_at)
    _check_instant(job, "deadline_at", job.deadline_at)


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


def _size_of(row: dict[str, Any]) -> int:
    return len(row["arguments"]) + _FEW_CHARACTERS
