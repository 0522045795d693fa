"""What people and programs ask the ledger."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from holdfast.jobs.errors import JobNotFound
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Attempt, Job
from holdfast.jobs.state import JobState
from holdfast.ledger import rows
from holdfast.ledger.batch import chunked, packed_with_ids
from holdfast.ledger.payloads import Payloads
from holdfast.ledger.records import JobMoment, QueueCount
from holdfast.ledger.statements import reading
from holdfast.ledger.transaction import Transactions

DEFAULT_LIST: Final = 50


class Reading:
    """Answers questions."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions
        self._payloads = Payloads(transactions)

    def job(self, job_id: JobId) -> Job:
        """Read one job; raises JobNotFound, or BadRow if somebody broke it by hand."""
        row = self._transactions.read(
            lambda connection: self._transactions.run(
                connection, reading.jobs_of_batch(), packed_with_ids([{"id": job_id}])
            ).first(),
            doing="read a job",
        )
        if row is None:
            raise JobNotFound(job_id=job_id)
        return self._payloads.of_job(rows.job(row))

    def find(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Read the jobs that exist, without large arguments: who waits for a result asks often."""

        def work(connection: Connection) -> list[rows.AnyRow]:
            found: list[rows.AnyRow] = []
            for chunk in chunked([{"id": job_id} for job_id in dict.fromkeys(job_ids)], lambda _: 100):
                found += self._transactions.run(
                    connection, reading.jobs_of_batch(), packed_with_ids(chunk)
                ).all()
            return found

        found = self._transactions.read(work, doing="find jobs")
        return {job.id: job for job in self._payloads.results_of(rows.readable(found, rows.job))}

    def attempts(self, job_id: JobId) -> list[Attempt]:
        """Read a job's attempts, oldest first."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, reading.attempts_of(job_id)).all(),
            doing="read attempts",
        )
        return rows.readable(found, rows.attempt)

    def history(self, job_id: JobId, after: int) -> list[JobMoment]:
        """Read a job's moments, oldest first."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, reading.history(job_id, after)).all(),
            doing="read a history",
        )
        return rows.readable(found, rows.moment)

    def counts(self) -> list[QueueCount]:
        """Count jobs."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, reading.counts()).all(), doing="count jobs"
        )
        return rows.readable(found, rows.queue_count)

    def list_jobs(self, *, states: Sequence[JobState], tasks: Sequence[str], limit: int) -> list[Job]:
        """Read jobs, newest first."""
        statement = reading.listed(states, tasks, limit)
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, statement).all(), doing="list jobs"
        )
        return rows.readable(found, rows.job)

    def tombstone(self, job_id: JobId) -> bool:
        """Tell whether a job was here and is pruned."""
        row = self._transactions.read(
            lambda connection: self._transactions.run(connection, reading.tombstone(job_id)).first(),
            doing="look for a tombstone",
        )
        return row is not None
