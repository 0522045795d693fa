"""The quarantine: messages that cannot be jobs, jobs that were put aside, and what becomes of them."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.errors import MessageNotFound
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import rows
from holdfast.ledger.reading import DEFAULT_LIST
from holdfast.ledger.records import MessageCount, MessageFilter, QueuedMessage
from holdfast.ledger.schema_rules import LONGEST_DETAIL, LONGEST_NAME
from holdfast.ledger.statements import quarantine, reading
from holdfast.ledger.transaction import Transactions

LARGEST_RAW_BYTES: Final = 64 * 1024
"""Kept of bytes that are no message at all."""
LARGEST_BODY_BYTES: Final = LARGEST_BYTES
"""Kept of a body: as much as a job's arguments may have, so that what could be a job can be replayed."""
LONGEST_ENVELOPE: Final = 64 * 1024
"""Characters; a message whose headers have more is kept without them."""
EVERY_MESSAGE: Final = MessageFilter()
UNKEPT: Final = ""
"""The envelope of a message that had one, too large or too strange to be kept."""


class Quarantine:
    """Keeps what is strange until an operator has decided. Each verb is one transaction."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions

    def keep(
        self,
        *,
        queue: str,
        reason: QuarantineReason,
        detail: str,
        raw: bytes,
        source: str,
        envelope: str | None = None,
    ) -> int:
        """Keep a message; the same again is counted, and open again.

        Without an envelope it is bytes that were no message, and 64 KiB are kept;
        with one (headers and properties as JSON), 1 MiB of its body.
        """
        kept = UNKEPT if envelope is not None and len(envelope) > LONGEST_ENVELOPE else envelope
        values = {
            "queue": storable_text(queue)[:LONGEST_NAME],
            "digest": hashlib.sha256((envelope or "").encode("utf-8", "replace") + raw).hexdigest(),
            "reason": reason.value,
            "detail": storable_text(detail)[:LONGEST_DETAIL],
            "source": storable_text(source)[:LONGEST_NAME],
            "raw": raw[: LARGEST_BODY_BYTES if kept else LARGEST_RAW_BYTES],
            "size": len(raw),
            "envelope": kept if kept is None else storable_text(kept),
        }
        statement = quarantine.keep(values)
        return self._transactions.write(
            lambda connection: int(self._transactions.run(connection, statement).scalar_one()),
            doing="quarantine a message",
        )

    def listed(
        self, limit: int = DEFAULT_LIST, *, which: MessageFilter = EVERY_MESSAGE
    ) -> list[QueuedMessage]:
        """Return messages, the last seen first, with the first KiB of each."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, quarantine.listed(which, limit)).all(),
            doing="read quarantined messages",
        )
        return rows.readable(found, rows.message)

    def jobs(
        self,
        limit: int = DEFAULT_LIST,
        *,
        reasons: Sequence[QuarantineReason] = (),
        queues: Sequence[str] = (),
    ) -> list[Job]:
        """Return quarantined jobs, newest first; empty filters let all through."""
        statement = reading.listed([JobState.QUARANTINED], [], limit, queues=queues, reasons=reasons)
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, statement).all(),
            doing="list quarantined jobs",
        )
        return rows.readable(found, rows.job)

    def one(self, message_id: int) -> QueuedMessage:
        """Return one message, whole; raises MessageNotFound, or BadRow if somebody broke it by hand."""
        row = self._transactions.read(
            lambda connection: self._transactions.run(connection, quarantine.one(message_id)).first(),
            doing="read a quarantined message",
        )
        if row is None:
            raise MessageNotFound(detail=str(message_id))
        return rows.message(row)

    def count(self, which: MessageFilter = EVERY_MESSAGE) -> MessageCount:
        """Count messages, before they are dropped."""
        row = self._transactions.read(
            lambda connection: self._transactions.run(connection, quarantine.count(which)).one(),
            doing="count quarantined messages",
        )
        return MessageCount(int(row.how_many), int(row.newest or 0))

    def drop(self, which: MessageFilter, *, newest: int) -> int:
        """Delete the messages that `count` counted, none that came later; returns how many."""
        return self._changed(quarantine.drop(which, newest), doing="drop quarantined messages")

    def drop_one(self, message_id: int) -> None:
        """Delete one message; raises MessageNotFound."""
        if not self._changed(quarantine.drop_one(message_id), doing="drop a quarantined message"):
            raise MessageNotFound(detail=str(message_id))

    def mark_replayed(self, message_id: int, *, times: int) -> bool:
        """Note that a message was sent again. False: it has come back since it was counted `times` times."""
        return bool(self._changed(quarantine.mark_replayed(message_id, times), doing="mark a replay"))

    def release_id(self, job_id: JobId) -> bool:
        """Forget that a message of this id was refused, so that it can be adopted after all.

        False, and nothing is changed, if the id is a job's that was more than refused.
        """

        def work(connection: Connection) -> bool:
            job = self._transactions.run(connection, quarantine.refused(job_id)).first()
            if job is None:
                # Only a note: it was a job that ran, or a refusal so old that its row is pruned.
                note = self._transactions.run(connection, reading.tombstone(job_id)).first()
                return note is None
            if job.is_refused:
                for statement in quarantine.forget(job_id):
                    self._transactions.run(connection, statement)
            return bool(job.is_refused)

        return self._transactions.write(work, doing="release the id of a message")

    def _changed(self, statement: Any, *, doing: str) -> int:  # noqa: ANN401  an update or a delete
        return self._transactions.write(
            lambda connection: int(self._transactions.run(connection, statement).rowcount),
            doing=doing,
            is_repeatable=False,
        )
