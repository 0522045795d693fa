"""Sweeps: what nobody is there to do. Each is safe to run twice, late, or by two leaders at once."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Update

from holdfast.jobs.ids import JobId, LeaseToken, WorkerId
from holdfast.jobs.job import Leftover, Ring
from holdfast.jobs.state import JobState, Move, QuarantineReason
from holdfast.ledger import endings, moments, rows
from holdfast.ledger.batch import chunked, packed_with_ids
from holdfast.ledger.endings import LOST, OVERRAN
from holdfast.ledger.settling import Settling
from holdfast.ledger.statements import maintenance, steering
from holdfast.ledger.transaction import Transactions

AnyRow = Row[Any]

WORKER_LOST: Final = "worker_lost"
ATTEMPT_ENDED: Final = "attempt_ended"

_log: Final = logging.getLogger(__name__)


class Maintenance:
    """Moves waiting jobs on, and takes running ones back."""

    def __init__(self, transactions: Transactions, settling: Settling) -> None:
        """Work in these transactions; running rows are ended by `settling`."""
        self._transactions = transactions
        self._settling = settling

    def stage(self, limit: int) -> int:
        """Make due jobs available."""
        return len(self._sweep(maintenance.due(limit), maintenance.stage(), Move.STAGE.value, doing="stage"))

    def next_due(self) -> float | None:
        """Return in how many seconds the next scheduled job is due."""
        seconds = self._transactions.read(
            lambda connection: self._transactions.run(connection, maintenance.next_due()).scalar(),
            doing="look for the next job",
        )
        return None if seconds is None else float(seconds)

    def due_rings(self, *, limit: int, epoch: str | None) -> list[Ring]:
        """Take the rings that are due, highest priority first; the next in 60 s, doubling, at most an hour.

        Rows of another `epoch` than the broker's (None: none) are due now; who `is_held` is not to be rung.
        """
        moved = self._sweep(
            maintenance.ringing(epoch, limit), maintenance.ring(epoch), None, doing="take due rings"
        )
        moved = [row for row in moved if row.cohort is None]
        if not moved:
            return []
        # Read afterwards: a queue that is resumed from now on makes its rings due again.
        paused = set(
            self._transactions.read(
                lambda connection: self._transactions.run(connection, steering.paused()).scalars().all(),
                doing="read paused queues",
            )
        )
        moved.sort(key=lambda row: (row.priority, row.run_at, row.id))
        return [
            Ring(JobId(row.id), row.task, row.queue, row.priority, is_held=row.queue in paused)
            for row in moved
        ]

    def ring_soon(self, job_ids: Sequence[JobId], *, not_by: WorkerId | None = None) -> None:
        """Make rings due now, or soon where a worker that does not offer the job heard the last one."""
        statement = maintenance.ring_soon() if not_by is None else maintenance.ring_elsewhere(not_by)

        def work(connection: Connection) -> None:
            for chunk in chunked([{"id": job_id} for job_id in sorted(job_ids)], lambda _: 100):
                self._transactions.run(connection, statement, packed_with_ids(chunk))

        self._transactions.write(work, doing="make rings due")

    def rescue(self, limit: int) -> list[Leftover]:
        """Take back what dead workers hold, and attempts that ran past their end."""

        def work(connection: Connection) -> list[Leftover]:
            found = self._transactions.run(connection, maintenance.leftover(limit)).all()
            done, refused = self._transactions.apart(connection, found, self._take_back)
            _tell(refused, "rescued")
            return done

        return self._transactions.write(work, doing="rescue")

    def expire(self, limit: int) -> list[Leftover]:
        """End waiting jobs that are past their deadline or total age."""
        moved = self._sweep(
            maintenance.expired(limit), maintenance.expire(), Move.QUARANTINE.value, doing="expire"
        )
        return [rows.leftover(row, worker_id=None, why=QuarantineReason.DEADLINE.value) for row in moved]

    def without_offer(
        self, *, quarantine_after_seconds: float, limit: int
    ) -> tuple[list[Leftover], list[Leftover]]:
        """Mark jobs that no living worker can run; quarantine those that none has offered for too long."""
        self._transactions.write(
            lambda connection: self._transactions.run(connection, maintenance.offered_again()),
            doing="clear marks",
        )
        marked = self._sweep(
            maintenance.not_offered(limit),
            maintenance.mark_not_offered(),
            None,
            doing="mark jobs without offer",
        )
        reason = QuarantineReason.UNKNOWN_TASK
        detail = f"no living worker has offered its task for {quarantine_after_seconds:g} s"
        ended = self._sweep(
            maintenance.never_offered(quarantine_after_seconds, limit),
            maintenance.quarantine_waiting(reason, detail, JobState.AVAILABLE),
            Move.QUARANTINE.value,
            doing="quarantine jobs without offer",
        )
        gone = {row.id for row in ended}
        waiting = [rows.leftover(row, worker_id=None, why=row.detail) for row in marked if row.id not in gone]
        return waiting, [rows.leftover(row, worker_id=None, why=reason.value) for row in ended]

    def _take_back(self, connection: Connection, found: Sequence[AnyRow]) -> list[Leftover]:
        before = {(row.id, row.lease_token): row for row in found}
        batch = [
            endings.ending(
                JobId(row.id),
                LeaseToken(row.lease_token),
                kind=OVERRAN if row.lives else LOST,
                detail="its attempt ran past its end" if row.lives else "its worker is gone",
            )
            for row in found
        ]
        return [
            rows.leftover(
                row,
                worker_id=before[ending.key].worker_id,
                why=ATTEMPT_ENDED if ending.kind == OVERRAN else WORKER_LOST,
                # A worker that lives may still be calling.
                ticket=None if ending.kind == OVERRAN else before[ending.key].ticket,
            )
            for ending, row in self._settling.end_running(connection, batch)
        ]

    def _sweep(
        self, find: Select[*tuple[Any, ...]], move: Update, kind: str | None, *, doing: str
    ) -> list[AnyRow]:
        """Lock what a sweep is about, then move it; a row that cannot be moved stops no other (G5)."""

        def move_all(connection: Connection, ids: Sequence[str]) -> list[AnyRow]:
            moved = self._transactions.run(
                connection, move, packed_with_ids([{"id": one} for one in ids])
            ).all()
            if kind is not None:
                moments.record(self._transactions, connection, moved, kind)
            return list(moved)

        def work(connection: Connection) -> list[AnyRow]:
            ids = self._transactions.run(connection, find).scalars().all()
            moved, refused = self._transactions.apart(connection, sorted(ids), move_all)
            _tell(refused, doing)
            return moved

        return self._transactions.write(work, doing=doing)


def _tell(refused: Sequence[tuple[object, str]], doing: str) -> None:
    for row, said in refused:
        _log.warning("a row was left out (%s): %s: %s", doing, getattr(row, "id", row), said)
