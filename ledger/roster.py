"""Who works here: workers, what they offer, whether they live, who leads."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import Offer, WorkerRow
from holdfast.ledger import rows
from holdfast.ledger.batch import packed
from holdfast.ledger.records import NewWorker, OfferRow
from holdfast.ledger.statements import workers
from holdfast.ledger.transaction import Transactions


class Roster:
    """Keeps the workers' rows."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions

    def register_worker(self, worker: NewWorker, offers: Sequence[Offer]) -> None:
        """Write a worker and what it offers."""
        values = {
            "id": worker.id,
            "name": worker.name,
            "host": worker.host,
            "pid": worker.pid,
            "version": worker.version,
            "slots": worker.slots,
            "queues": json.dumps(list(worker.queues)),
            "machine_id": worker.machine_id,
            "started_marker": worker.started_marker,
            "has_lane": worker.has_lane,
        }
        offered = [
            {
                "worker_id": worker.id,
                "task": offer.task,
                "version": offer.version,
                "queue": offer.queue,
                "schema": offer.schema,
                "isolated": int(offer.isolated),
            }
            for offer in offers
        ]

        def work(connection: Connection) -> None:
            if self._transactions.is_postgresql:
                self._transactions.run(connection, workers.take_turn(worker.name))
            self._transactions.run(connection, workers.register(values))
            if offered:
                self._transactions.run(connection, workers.offer(), packed(offered))

        self._transactions.write(work, doing="register a worker")

    def live_twins(self, name: str, except_id: WorkerId) -> list[WorkerRow]:
        """Read the other living workers of a name."""
        return [worker for worker in self.workers() if worker.name == name and worker.id != except_id]

    def beat(self, worker_id: WorkerId) -> bool:
        """Count one beat; False once the worker was declared dead."""
        row = self._transactions.write(
            lambda connection: self._transactions.run(connection, workers.beat(worker_id)).first(),
            doing="beat",
        )
        return row is not None

    def end(self, worker_id: WorkerId, beat_seq: int | None) -> bool:
        """End a living worker, if it has not beaten since `beat_seq`; None asks for no proof."""

        def work(connection: Connection) -> bool:
            # No claim may commit under a dead worker: who leaves waits for claims under way. An observer does
            # not, as a worker that froze in a claim would hold up the beats of everybody who judges it.
            waits = beat_seq is None
            row = self._transactions.run(connection, workers.judge(worker_id, waits=waits)).first()
            if row is None or not row.alive:
                return False
            return self._transactions.run(connection, workers.end(worker_id, beat_seq)).first() is not None

        return self._transactions.write(work, doing="end a worker")

    def workers(self, *, alive_only: bool = True) -> list[WorkerRow]:
        """Read the workers."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(
                connection, workers.listed(alive_only=alive_only)
            ).all(),
            doing="read workers",
        )
        return rows.readable(found, rows.worker)

    def offers(self) -> list[OfferRow]:
        """Read what living workers can run."""
        found = self._transactions.read(
            lambda connection: self._transactions.run(connection, workers.offered()).all(),
            doing="read offers",
        )
        return rows.readable(found, rows.offer)

    def lead(self, role: str, worker_id: WorkerId, *, seconds: float) -> bool:
        """Take or keep a role for a time."""
        row = self._transactions.write(
            lambda connection: self._transactions.run(
                connection, workers.lead(role, seconds), {workers.WHO: worker_id}
            ).first(),
            doing="lead",
        )
        return row is not None
