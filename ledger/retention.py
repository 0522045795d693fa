"""Pruning: what has served its time is deleted."""

from typing import Final

from sqlalchemy import Connection

from holdfast.ledger.batch import packed
from holdfast.ledger.enqueueing import TOMBSTONE_SECONDS
from holdfast.ledger.statements import foreign, retention, workers
from holdfast.ledger.transaction import Transactions

DEAD_WORKER_SECONDS: Final = 3600.0


class Retention:
    """Deletes what is old."""

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
