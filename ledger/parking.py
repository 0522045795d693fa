"""Jobs that wait for an upstream: they are counted, and let go a few at a time."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Released
from holdfast.jobs.state import Move
from holdfast.ledger import moments, rows
from holdfast.ledger.batch import packed, packed_with_ids
from holdfast.ledger.records import ParkedGroup
from holdfast.ledger.statements import parking
from holdfast.ledger.transaction import Transactions

_log: Final = logging.getLogger(__name__)


class Parking:
    """Releases parked jobs."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions

    def groups(self) -> list[ParkedGroup]:
        """Count the jobs that wait for upstreams."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, parking.groups()).all(),
            doing="count parked jobs",
        )
        return rows.readable(found, rows.parked_group)

    def release(
        self, waiting_for: str, priority: int, tenant: str | None, tickets: Sequence[str | None]
    ) -> list[Released]:
        """Make the oldest jobs of a group available, one for each ticket; fewer, if there are fewer.

        A ticket goes to a job that can run now, None to any. After LedgerUnavailable nobody knows
        which of these tickets a job has: use none of them again.
        """
        if not tickets:
            return []
        can_begin = any(ticket is not None for ticket in tickets)
        find = parking.oldest(has_tenant=tenant is not None, can_begin=can_begin)
        values = {
            parking.WAITING_FOR: waiting_for,
            parking.PRIORITY: priority,
            parking.LIMIT: len(tickets),
        } | ({} if tenant is None else {parking.TENANT: tenant})

        def work(connection: Connection) -> list[Released]:
            ids = self._transactions.run(connection, find, values).scalars().all()
            batch = [{"id": job_id, "ticket": ticket} for job_id, ticket in zip(ids, tickets, strict=False)]
            moved, refused = self._transactions.apart(connection, batch, self._move)
            for row, said in refused:
                _log.warning("job %s cannot be released: %s", row["id"], said)
            return self._released(connection, moved)

        # After a commit whose answer was lost a repetition would give the same tickets to other jobs.
        return self._transactions.write(work, doing="release", is_repeatable=False)

    def _move(self, connection: Connection, batch: Sequence[dict[str, Any]]) -> list[Row[Any]]:
        moved = self._transactions.run(connection, parking.release(), packed_with_ids(batch)).all()
        moments.record(self._transactions, connection, moved, Move.RELEASE.value)
        return list(moved)

    def _released(self, connection: Connection, moved: Sequence[Row[Any]]) -> list[Released]:
        if not moved:
            return []
        # The moment before that of the release is that of the park: a parked row has no other.
        parked = packed([{"id": row.id, "seq": row.moments - 1} for row in moved])
        found = self._transactions.run(connection, parking.waited(), parked)
        seconds: dict[str, float] = {row.job_id: row.seconds for row in found}
        return [
            Released(
                JobId(row.id), row.task, row.queue, row.ticket, max(0.0, seconds.get(row.id, 0.0)), row.cohort
            )
            for row in moved
        ]
