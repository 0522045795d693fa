"""Results of plain Celery tasks that run beside ours: kept for `AsyncResult`, judged by nobody."""

from holdfast.jobs.failure import storable_text
from holdfast.ledger.records import CeleryResult
from holdfast.ledger.schema_rules import LONGEST_NAME
from holdfast.ledger.statements import foreign
from holdfast.ledger.transaction import Transactions


class Foreign:
    """Stores and reads what Celery says of its own tasks."""

    def __init__(self, transactions: Transactions) -> None:
        """Work in these transactions."""
        self._transactions = transactions

    def store(self, task_id: str, state: str, result_json: str | None, traceback: str | None) -> None:
        """Keep what a task came to; the last write stays."""
        statement = foreign.store(
            task_id[:LONGEST_NAME],
            state,
            None if result_json is None else storable_text(result_json),
            None if traceback is None else storable_text(traceback),
        )
        self._transactions.write(
            lambda connection: self._transactions.run(connection, statement), doing="store a Celery result"
        )

    def read(self, task_id: str) -> CeleryResult | None:
        """Read a result, None if there is none."""
        row = self._transactions.read(
            lambda connection: self._transactions.run(connection, foreign.read(task_id)).first(),
            doing="read a Celery result",
        )
        return None if row is None else CeleryResult(row.task_id, row.state, row.result, row.traceback)
