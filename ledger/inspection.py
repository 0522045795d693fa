"""Looking at many jobs: a list by pages, how many there are, and how the platform stands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row

from holdfast.jobs.ids import JobId, WorkerId
from holdfast.jobs.state import JobState
from holdfast.ledger import rows
from holdfast.ledger.job_filter import EVERY_JOB, JobCount, JobFilter, JobPage, Place
from holdfast.ledger.overview import RECENT_SECONDS, Overview, Wait
from holdfast.ledger.payloads import PayloadBooks, Payloads
from holdfast.ledger.reading import DEFAULT_LIST
from holdfast.ledger.records import PausedQueue
from holdfast.ledger.statements import overview, selection, steering, workers
from holdfast.ledger.transaction import Transactions

MOST_SHOWN: Final = 20


class Inspection:
    """Answers questions about all jobs that a filter lets through."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions
        self._payloads = Payloads(transactions)

    def page(
        self, which: JobFilter = EVERY_JOB, *, after: Place | None = None, limit: int = DEFAULT_LIST
    ) -> JobPage:
        """Return at most `limit` jobs, newest first, from after a place on; unreadable rows are left out."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, selection.page(which, after, limit)).all(),
            doing="list jobs",
        )
        return JobPage(rows.readable(found, rows.job), _next(found, limit))

    def count(self, which: JobFilter = EVERY_JOB, *, among: Sequence[JobState] = ()) -> JobCount:
        """Count the jobs that fit now; `among`: only those in one of these states, too."""

        def work(connection: Connection) -> JobCount:
            at: datetime = self._transactions.run(connection, selection.now()).scalar_one()
            found = self._transactions.run(connection, selection.count(which, among)).all()
            return JobCount(at, {JobState(row.state): int(row.how_many) for row in found})

        return self._transactions.read(work, doing="count jobs")

    def payload_books(self) -> PayloadBooks:
        """Look for large payloads without a job, and for jobs whose reference leads nowhere."""
        return self._payloads.books()

    def overview(self, *, most_running: int = MOST_SHOWN, most_waits: int = MOST_SHOWN) -> Overview:
        """Say how the platform stands, in one transaction, whatever the number of jobs that have ended."""

        def work(connection: Connection) -> Overview:
            def ask(statement: Executable) -> Sequence[Row[Any]]:
                return self._transactions.run(connection, statement).all()

            return Overview(
                at=ask(selection.now())[0].at,
                counts=rows.readable(ask(overview.counts()), rows.queue_count),
                recent={
                    JobState(row.state): int(row.how_many) for row in ask(overview.recent(RECENT_SECONDS))
                },
                running=rows.readable(ask(overview.running(most_running)), rows.job),
                held={WorkerId(row.worker_id): int(row.how_many) for row in ask(overview.held())},
                waits=[
                    Wait(row.waiting_for, int(row.how_many), row.since)
                    for row in ask(overview.waits(most_waits))
                ],
                workers=rows.readable(ask(workers.listed(alive_only=True)), rows.worker),
                pauses=[PausedQueue(row.queue, row.paused_at, row.reason) for row in ask(steering.paused())],
            )

        return self._transactions.read(work, doing="look at everything")


def _next(found: Sequence[Row[Any]], limit: int) -> Place | None:
    # The rows' own place, whether or not they could be read: a bad one must not end the list.
    if len(found) < limit or not isinstance(found[-1].created_at, datetime):
        return None
    return Place(found[-1].created_at, JobId(found[-1].id))
