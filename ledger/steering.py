"""Cancel, requeue, wake, pause: somebody decides about a job or a queue from outside."""

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from holdfast.jobs.errors import IllegalTransition, JobNotFound
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState, Move
from holdfast.ledger import moments, rows, uniqueness
from holdfast.ledger.batch import MOST_ROWS, packed_ids
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.records import PausedQueue
from holdfast.ledger.schema_rules import LONGEST_DETAIL
from holdfast.ledger.statements import children, quarantine, steering
from holdfast.ledger.transaction import Transactions

CancelAnswer = Literal["cancelled", "requested", "already_final"]


class Steering:
    """Changes single jobs and gates queues."""

    def __init__(self, transactions: Transactions, config: LedgerConfig) -> None:
        """Work in these transactions; a requeued job has this long again."""
        self._total_age_seconds = config.total_age_seconds
        self._transactions = transactions

    def cancel(self, job_id: JobId, reason: str) -> CancelAnswer:
        """Cancel a waiting job at once, or ask a running one to stop."""
        text = storable_text(reason)[:LONGEST_DETAIL]

        def work(connection: Connection) -> CancelAnswer:
            # The lock keeps the job from slipping from running to waiting between the two statements.
            self._state(connection, job_id)
            cancelled = self._transactions.run(connection, steering.cancel(job_id, text)).first()
            if cancelled is not None:
                moments.record(self._transactions, connection, [cancelled], Move.CANCEL.value)
                return "cancelled"
            asked = self._transactions.run(connection, steering.ask_to_cancel(job_id, text)).first()
            return "already_final" if asked is None else "requested"

        return self._transactions.write(work, doing="cancel", is_repeatable=False)

    def requeue(self, job_id: JobId) -> Job:
        """Give a quarantined job its next generation, with a new total age and no deadline.

        Raises JobNotFound, or IllegalTransition: not quarantined, or a message that was refused.
        """

        def work(connection: Connection) -> Job:
            state = self._state(connection, job_id)
            if self._transactions.run(connection, quarantine.refused(job_id)).one().is_refused:
                raise IllegalTransition(
                    job_id=job_id,
                    detail="it is a message that was refused, and holds no arguments",
                    hint="Replay the message; `holdfast quarantine list` shows it.",
                )
            self._check_parent(connection, job_id)
            row = self._transactions.run(
                connection, steering.requeue(job_id, self._total_age_seconds)
            ).first()
            if row is None:
                raise IllegalTransition(
                    job_id=job_id, detail=f"only a quarantined job can be requeued; it is {state}"
                )
            if row.unique_while is not None:
                uniqueness.retake(self._transactions, connection, job_id)
            moments.record(self._transactions, connection, [row], Move.REQUEUE.value)
            return rows.job(row)

        return self._transactions.write(work, doing="requeue", is_repeatable=False)

    def wake(self, job_id: JobId) -> bool:
        """Wake a job; True if it was parked."""

        def work(connection: Connection) -> bool:
            state = self._state(connection, job_id)
            row = self._transactions.run(connection, steering.wake(job_id)).first()
            woke = row is not None and state is JobState.PARKED and row.state == JobState.AVAILABLE
            if row is not None and woke:
                moments.record(self._transactions, connection, [row], Move.WAKE.value)
            return woke

        return self._transactions.write(work, doing="wake")

    def pause_queue(self, queue: str, reason: str) -> bool:
        """Gate a queue's claims; False if it was gated, and then the first reason stays."""
        statement = steering.pause(queue, storable_text(reason)[:LONGEST_DETAIL])
        row = self._transactions.write(
            lambda connection: self._transactions.run(connection, statement).first(),
            doing="pause a queue",
        )
        return row is not None

    def resume_queue(self, queue: str) -> bool:
        """Open a queue's gate; False if it was open."""
        row = self._transactions.write(
            lambda connection: self._transactions.run(connection, steering.resume(queue)).first(),
            doing="resume a queue",
        )
        # While it was paused its rings were put off; page by page, so that a long queue holds up nobody.
        place: tuple[int, datetime, str] | None = None
        while (place := self._hasten(queue, place)) is not None:
            pass
        return row is not None

    def paused_queues(self) -> list[PausedQueue]:
        """Read the gated queues."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, steering.paused()).all(),
            doing="read paused queues",
        )
        return [PausedQueue(row.queue, row.paused_at, row.reason) for row in found]

    def _hasten(
        self, queue: str, after: tuple[int, datetime, str] | None
    ) -> tuple[int, datetime, str] | None:
        """Make a page of a queue's rings due; return where the next page begins, None after the last."""

        def work(connection: Connection) -> tuple[int, datetime, str] | None:
            found = self._transactions.run(connection, steering.waiting_in(queue, after, MOST_ROWS)).all()
            if found:
                self._transactions.run(connection, steering.hasten(), packed_ids([row.id for row in found]))
            if len(found) < MOST_ROWS:
                return None
            return found[-1].priority, found[-1].run_at, found[-1].id

        return self._transactions.write(work, doing="resume a queue")

    def _check_parent(self, connection: Connection, job_id: JobId) -> None:
        row = self._transactions.run(connection, children.reader(), {children.PARENT: job_id}).first()
        if row is not None and not row.waits:
            raise IllegalTransition(
                job_id=job_id,
                detail=f"its parent, job {row.id}, is open and does not wait for it",
                hint="Requeue the parent when it has ended: what failed below it is started once more.",
            )

    def _state(self, connection: Connection, job_id: JobId) -> JobState:
        state = self._transactions.run(connection, steering.look(job_id)).scalar()
        if state is None:
            raise JobNotFound(job_id=job_id)
        return JobState(state)
