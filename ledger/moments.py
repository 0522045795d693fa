"""The history of jobs: what happened is written in the transaction in which it happens.

Every change of state comes by here, and so it is here that a job which leaves the states in which it holds
its unique key lets go of it (B22). Who has none costs no statement.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row

from holdfast.jobs.state import Move
from holdfast.ledger import unique_release
from holdfast.ledger.batch import packed
from holdfast.ledger.statements import enqueue
from holdfast.ledger.transaction import Transactions


def record(transactions: Transactions, connection: Connection, rows: Iterable[Row[Any]], kind: str) -> None:
    """Write one moment for each row that a change of state returned."""
    record_each(transactions, connection, [(row, kind) for row in rows])


def record_each(
    transactions: Transactions, connection: Connection, happened: list[tuple[Row[Any], str]]
) -> None:
    """Write one moment for each row, each of its own kind."""
    if not happened:
        return
    begun = unique_release.let_go(transactions, connection, [row for row, _ in happened])
    happened = happened + [(row, Move.WAKE.value) for row in begun]
    moments = [
        {
            "id": row.id,
            "seq": row.moments,
            "kind": kind,
            "state": row.state,
            "attempt": row.attempt,
            "detail": row.detail,
        }
        for row, kind in happened
    ]
    transactions.run(connection, enqueue.add_moments(), packed(moments))
