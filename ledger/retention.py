"""Pruning, and the quarantine of messages that cannot be jobs."""

import hashlib
from typing import Final

from sqlalchemy import Connection

from holdfast.jobs.failure import storable_text
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger import rows
from holdfast.ledger.batch import packed
from holdfast.ledger.enqueueing import TOMBSTONE_SECONDS
from holdfast.ledger.records import QueuedMessage
from holdfast.ledger.schema import LONGEST_DETAIL, LONGEST_NAME
from holdfast.ledger.statements import foreign, reading, retention, workers
from holdfast.ledger.transaction import Transactions

LARGEST_RAW_BYTES: Final = 64 * 1024
DEAD_WORKER_SECONDS: Final = 3600.0


class Retention:
    """Deletes what is old, keeps what is strange."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions

    def prune(self, *, completed_seconds: float, quarantined_seconds: float, limit: int) -> int:
        """Delete old final jobs with all that belongs to them, then what else has expired."""

        def jobs_of(connection: Connection) -> int:
            find = retention.prunable(completed_seconds, quarantined_seconds, limit)
            ids = sorted(self._transactions.run(connection, find).scalars())
            if not ids:
                return 0
            batch = packed([{"id": job_id} for job_id in ids])
            for statement in (
                retention.bury(TOMBSTONE_SECONDS),
                retention.note_on_keys(),
                retention.delete_attempts(),
                retention.delete_moments(),
                retention.delete_jobs(),
            ):
                self._transactions.run(connection, statement, batch)
            return len(ids)

        def the_rest(connection: Connection) -> None:
            for statement in (
                retention.drop_keys(limit),
                retention.drop_tombstones(limit),
                retention.drop_messages(quarantined_seconds, limit),
                foreign.drop(completed_seconds, limit),
                workers.bury_dead(DEAD_WORKER_SECONDS, limit),
                workers.drop_offers(),
            ):
                self._transactions.run(connection, statement)

        pruned = self._transactions.write(jobs_of, doing="prune jobs")
        self._transactions.write(the_rest, doing="prune keys, notes and workers")
        return pruned

    def quarantine_message(
        self, *, queue: str, reason: QuarantineReason, detail: str, raw: bytes, source: str
    ) -> int:
        """Keep a message that cannot be a job."""
        values = {
            "queue": storable_text(queue)[:LONGEST_NAME],
            "digest": hashlib.sha256(raw).hexdigest(),
            "reason": reason.value,
            "detail": storable_text(detail)[:LONGEST_DETAIL],
            "source": storable_text(source)[:LONGEST_NAME],
            "raw": raw[:LARGEST_RAW_BYTES],
            "size": len(raw),
        }
        statement = retention.quarantine_message(values)
        return self._transactions.write(
            lambda connection: int(self._transactions.run(connection, statement).scalar_one()),
            doing="quarantine a message",
        )

    def quarantined_messages(self, limit: int) -> list[QueuedMessage]:
        """Read the quarantined messages, the last seen first."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, reading.messages(limit)).all(),
            doing="read quarantined messages",
        )
        return rows.readable(found, rows.message)
