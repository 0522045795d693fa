"""How jobs get into the ledger: by enqueue, in the caller's transaction or our own, and by adoption."""

import json
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from holdfast.jobs import codec
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import InvalidArguments, KeyBusy, LedgerError, NotUnique
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Enqueued, NewJob
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import uniqueness
from holdfast.ledger.backlog import Backlog, Room
from holdfast.ledger.batch import chunked, packed, packed_with_ids
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.new_rows import row_of
from holdfast.ledger.payloads import Bodies, Payloads
from holdfast.ledger.schema_rules import LONGEST_DETAIL
from holdfast.ledger.statements import enqueue, meta
from holdfast.ledger.statements.quarantine import REFUSE
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.translate import rivals_named, translated
from holdfast.ledger.types import bounded_seconds
from holdfast.ledger.uniqueness import Met, Uniqueness, Wish

Adoption = Literal["adopted", "known", "id_reused"]
"""`known`: the same message came before, acknowledge it. `id_reused`: another message, or a job, had this
id; quarantine the message."""
Add = Callable[[Connection, Sequence[NewJob]], list[Enqueued]]
"""Writes jobs in a transaction of the ledger's own."""

TOMBSTONE_SECONDS: Final = 14 * 24 * 3600.0
"""How long an adopted id is remembered: twice an intake's visibility timeout of a week."""
MOST_ON_SQLITE: Final = 50_000
"""Jobs in one call on SQLite: about five seconds of its one writer, a quarter of a lease (B28)."""
_FEW_CHARACTERS: Final = 400


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
        self._payloads = Payloads(transactions, config.payload_inline_bytes)
        self._uniqueness = Uniqueness(transactions, config.total_age_seconds, self._payloads)
        self._backlog = Backlog(transactions, config.backlog_limits, SystemClock())

    def enqueue(self, jobs: Sequence[NewJob], *, connection: Connection | None = None) -> list[Enqueued]:
        """Write all jobs or none."""
        if not jobs:
            return []
        self._check_count(jobs)
        batch = _Requests(jobs)
        with self._backlog.room() as room:
            if connection is None:
                return self._transactions.write(
                    lambda ours: self._add(ours, batch, room, is_ours=True), doing="enqueue"
                )
            return self._enqueue_in(connection, batch, room)

    @contextmanager
    def inside(self) -> Generator[Add]:
        """Lend what writes jobs in a transaction of the ledger's own, around all tries of that."""
        with self._backlog.room() as room:

            def add(connection: Connection, jobs: Sequence[NewJob]) -> list[Enqueued]:
                """Write jobs, all or none with the rest of the transaction."""
                if not jobs:
                    return []
                self._check_count(jobs)
                return self._add(connection, _Requests(jobs), room, is_ours=True)

            yield add

    def write_in(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Write jobs made by `row_of` inside a transaction of ours; returns the states of those that are new.

        A full queue refuses none of them: whoever decides this way cannot come back later.
        """
        return self._insert(connection, list(rows), kind="enqueue")

    def adopt(self, job: NewJob, payload_digest: str) -> Adoption:
        """Turn a foreign message into a job, once."""
        return self._adopt(job, payload_digest, None)

    def refuse(self, job: NewJob, reason: QuarantineReason, detail: str, payload_digest: str) -> Adoption:
        """Write a foreign message that may not run as a quarantined job."""
        return self._adopt(job, payload_digest, _Refusal(reason, storable_text(detail)[:LONGEST_DETAIL]))

    def _check_count(self, jobs: Sequence[NewJob]) -> None:
        if len(jobs) > MOST_ON_SQLITE and not self._transactions.is_postgresql:
            raise InvalidArguments(
                detail=f"{len(jobs)} jobs at once would keep SQLite's one writer from the heartbeats",
                hint=f"Enqueue at most {MOST_ON_SQLITE} at a time, or use PostgreSQL.",
            )

    def _enqueue_in(self, connection: Connection, batch: "_Requests", room: Room) -> list[Enqueued]:
        self._check_same_ledger(connection)
        try:
            if self._transactions.is_postgresql:
                connection.execute(
                    text("SELECT set_config('lock_timeout', :value, true)"), {"value": self._lock_timeout}
                )
            return self._add(connection, batch, room, is_ours=False)
        except SQLAlchemyError as error:
            raise translated(error, doing="enqueue in a transaction of the caller") from error

    def _add(
        self, connection: Connection, batch: "_Requests", room: Room, *, is_ours: bool
    ) -> list[Enqueued]:
        # Before anything is written: a transaction of the caller's goes on after a refusal.
        room.take(connection, batch.rows, batch.names, lambda: self._known(connection, batch))
        with rivals_named(is_ours=is_ours):
            owners = self._take_keys(connection, batch)
            met = self._meet(connection, batch, owners)
        owners |= met.owners
        ids = [str(row["id"]) for row in batch.rows]
        # A request whose key or unique key belongs to another job is answered with that job, and not written.
        answered = [owners.get(job_id, job_id) for job_id in ids]
        wanted = [
            row for row, owner, job_id in zip(batch.rows, answered, ids, strict=True) if owner == job_id
        ]
        created = self._insert(connection, wanted, kind="enqueue")
        if orphans := met.taken - created.keys():
            # Their ids were known: they are no new jobs, and hold what they held before.
            uniqueness.undo(self._transactions, connection, orphans)
        room.keep([row for row in wanted if created.get(str(row["id"])) == JobState.AVAILABLE])
        known = self._states(connection, sorted(set(answered) - created.keys()))
        states = {**batch.ended, **met.states, **known, **created}
        fresh = set(created)
        answers: list[Enqueued] = []
        for owner, job_id in zip(answered, ids, strict=True):
            is_new = owner == job_id and owner in fresh
            fresh.discard(owner)
            # Without row and note, all we know is that it has ended.
            state = JobState(states.get(owner, JobState.COMPLETED))
            answers.append(Enqueued(JobId(owner), is_new, state, met.conflicts.get(job_id)))
        return answers

    def _insert(self, connection: Connection, rows: list[dict[str, Any]], *, kind: str) -> dict[str, str]:
        created: dict[str, str] = {}
        heavy: Bodies = {}
        for chunk in chunked([self._payloads.lightened(row, "arguments", heavy) for row in rows], _size_of):
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
            if tags := [tag for row in chunk if row["id"] in created for tag in _tags_of(row)]:
                self._transactions.run(connection, enqueue.add_tags(), packed(tags))
        self._payloads.write(connection, {key: body for key, body in heavy.items() if key[0] in created})
        return created

    def _meet(self, connection: Connection, batch: "_Requests", owners: dict[str, str]) -> Met:
        """Ask for the unique keys of those that would be written; see `Uniqueness.meet`."""
        wishes = [wish for wish in batch.wishes if owners.get(wish.id, wish.id) == wish.id]
        if not wishes:
            return Met()
        keyed = [wish for wish in wishes if wish.id in owners]
        try:
            met = self._uniqueness.meet(connection, wishes)
        except NotUnique:
            self._forget_keys(connection, [batch.digests[wish.id] for wish in keyed])
            raise
        elsewhere = [
            {"id": wish.id, "digest": batch.digests[wish.id], "owner": met.owners[wish.id]}
            for wish in keyed
            if wish.id in met.owners
        ]
        # Who repeats the request gets the job that it was answered with, whatever becomes of that one.
        for chunk in chunked(elsewhere, _few):
            self._transactions.run(connection, enqueue.point_keys(), packed(chunk))
        return met

    def _forget_keys(self, connection: Connection, digests: list[str]) -> None:
        """Give back idempotency keys that were just taken: a transaction of the caller's goes on."""
        for chunk in chunked([{"digest": digest} for digest in sorted(digests)], _few):
            self._transactions.run(connection, enqueue.forget_keys(), packed(chunk))

    def _take_keys(self, connection: Connection, batch: "_Requests") -> dict[str, str]:
        """Return, for each request with a key, the id of the job that holds it."""
        owners: dict[str, str] = {}
        for chunk in chunked(batch.keys, _few):
            owners |= self._take(connection, chunk, batch)
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

    def _known(self, connection: Connection, batch: "_Requests") -> set[str]:
        """Return the ids of requests that make no new job: it is there, or their key is held."""
        held = {
            row.digest
            for chunk in chunked(batch.keys, _few)
            for row in self._transactions.run(connection, enqueue.holders(), packed(chunk))
        }
        answered = {job_id for job_id, digest in batch.digests.items() if digest in held}
        answered |= self._uniqueness.held(connection, batch.wishes)
        return answered | self._states(connection, sorted(str(row["id"]) for row in batch.rows)).keys()

    def _states(self, connection: Connection, job_ids: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for chunk in chunked([{"id": job_id} for job_id in job_ids], lambda _: 100):
            rows = self._transactions.run(connection, enqueue.states(), packed_with_ids(chunk)).all()
            found |= {row.id: row.state for row in rows}
        return found

    def _adopt(self, job: NewJob, digest: str, refusal: _Refusal | None) -> Adoption:
        row = row_of(job)
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
        self.rows = [row_of(job) for job in jobs]
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
        asked = {job.id: job.unique for job in reversed(jobs) if job.unique is not None}
        self.wishes = [
            Wish(asked.pop(job.id), row) for job, row in zip(jobs, self.rows, strict=True) if job.id in asked
        ]
        self.names = {wish.id: wish.key.digest for wish in self.wishes} | self.digests
        """What a request is one of, where only one may be."""


def _few(_: object) -> int:
    return _FEW_CHARACTERS


def _tags_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    tags: list[str] = json.loads(row["tags"] or "[]")
    return [{"id": row["id"], "tag": tag} for tag in tags]


def _size_of(row: dict[str, Any]) -> int:
    return len(row["arguments"]) + len(row["tags"] or "") + _FEW_CHARACTERS
