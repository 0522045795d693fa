"""Pruning: what has served its time is deleted, a batch at a time."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from holdfast.jobs.retention import RetentionPolicy, Sweep
from holdfast.jobs.state import JobState
from holdfast.ledger.batch import packed
from holdfast.ledger.enqueueing import TOMBSTONE_SECONDS
from holdfast.ledger.statements import children, foreign, retention, selection, workers
from holdfast.ledger.transaction import Transactions

DEAD_WORKER_SECONDS: Final = 3600.0
MARGIN: Final = timedelta(hours=1)
"""Looked at again before what a sweep has finished: rows that were locked, ends that were committed late."""
ROUNDS: Final = 256
"""After so many rounds a sweep begins at the oldest job again."""


class Retention:
    """Deletes what is old."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions
        # Where tasks are kept unequally long, what is kept longest stands before all others in the index of
        # what has ended. So each sweep remembers up to when it has nothing left to do, and begins there.
        self._finished: dict[Sweep, datetime] = {}
        self._rounds = 0

    def prune(self, policy: RetentionPolicy, limit: int) -> int:
        """Delete at most so many old final jobs with all that belongs to them, then what else has expired.

        Returns how many jobs: as many as the limit means that there may be more.
        """
        self._rounds += 1
        if self._rounds % ROUNDS == 0:
            self._finished.clear()
        finished: dict[Sweep, datetime] = {}

        def jobs_of(connection: Connection) -> int:
            finished.clear()
            ids = self._old(connection, policy, limit, finished)
            if not ids:
                return 0
            batch = packed([{"id": job_id} for job_id in ids])
            for statement in (
                retention.bury(TOMBSTONE_SECONDS),
                retention.note_on_keys(),
                retention.note_on_unique_keys(),
                retention.delete_unique_keys(),
                retention.delete_attempts(),
                retention.delete_moments(),
                retention.delete_tags(),
                retention.delete_payloads(),
                children.delete_gatherings(),
                retention.delete_jobs(),
            ):
                self._transactions.run(connection, statement, batch)
            return len(ids)

        def the_rest(connection: Connection) -> None:
            quarantined_seconds = policy.usual[JobState.QUARANTINED]
            for statement in (
                retention.drop_keys(limit),
                retention.drop_unique_keys(limit),
                retention.drop_tombstones(limit),
                retention.drop_messages(quarantined_seconds, limit),
                foreign.drop(policy.usual[JobState.COMPLETED], limit),
                workers.bury_dead(DEAD_WORKER_SECONDS, limit),
                workers.drop_offers(),
            ):
                self._transactions.run(connection, statement)

        pruned = self._transactions.write(jobs_of, doing="prune jobs")
        self._finished.update(finished)
        self._transactions.write(the_rest, doing="prune keys, notes and workers")
        return pruned

    def _old(
        self, connection: Connection, policy: RetentionPolicy, limit: int, finished: dict[Sweep, datetime]
    ) -> list[str]:
        """Lock the ids of old jobs, and note the sweeps that have no more of them."""
        now: datetime = self._transactions.run(connection, selection.now()).scalar_one()
        ids: list[str] = []
        for sweep in policy.sweeps():
            left = limit - len(ids)
            if left <= 0:
                break
            find = retention.prunable(sweep, self._finished.get(sweep), left)
            found = list(self._transactions.run(connection, find).scalars())
            ids += found
            if sweep.steps_over and len(found) < left:
                finished[sweep] = now - timedelta(seconds=sweep.seconds) - MARGIN
        return sorted(ids)
