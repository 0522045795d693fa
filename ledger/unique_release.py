"""How unique keys become free: by their jobs' changes of state, in the same transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from holdfast.ledger.batch import packed, packed_with_ids
from holdfast.ledger.statements import unique
from holdfast.ledger.transaction import Transactions


def let_go(transactions: Transactions, connection: Connection, moved: Iterable[Row[Any]]) -> list[Row[Any]]:
    """Free the keys of jobs that left the states in which they hold them.

    Returns the jobs that waited for one of these keys, and are available now. Nothing is asked of the
    database where no job of the batch has a key to let go.
    """
    left = sorted(
        row.id for row in moved if row.unique_while is not None and row.state not in row.unique_while.split()
    )
    return free(transactions, connection, left) if left else []


def free(transactions: Transactions, connection: Connection, job_ids: Sequence[str]) -> list[Row[Any]]:
    """Free the keys of jobs, and let those begin that waited for them."""
    batch = packed_with_ids([{"id": job_id} for job_id in job_ids])
    released = transactions.run(connection, unique.release(), batch).all()
    awaited = packed([{"digest": row.digest} for row in released if row.is_awaited])
    if not any(row.is_awaited for row in released):
        return []
    # Their jobs are locked before their keys, as by everyone: two that end at once cannot block each other.
    ids = transactions.run(connection, unique.successors(), awaited).scalars().all()
    if not ids:
        return []
    next_ones = packed_with_ids([{"id": job_id} for job_id in ids])
    transactions.run(connection, unique.succeed(), next_ones)
    return list(transactions.run(connection, unique.begin(), next_ones).all())
