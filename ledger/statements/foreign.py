"""Statements about the results of plain Celery tasks."""

from typing import Any

from sqlalchemy import Delete, Select, delete, select
from sqlalchemy.dialects.postgresql import Insert, insert

from holdfast.ledger.schema_foreign import celery_results
from holdfast.ledger.types import Now, now_plus


def store(task_id: str, state: str, result: str | None, traceback: str | None) -> Insert:
    """Write a result, or write over it."""
    values = {"state": state, "result": result, "traceback": traceback, "at": Now()}
    statement = insert(celery_results).values(task_id=task_id, **values)
    return statement.on_conflict_do_update(index_elements=["task_id"], set_=values)


def read(task_id: str) -> Select[*tuple[Any, ...]]:
    """Read a result."""
    return select(celery_results).where(celery_results.c.task_id == task_id)


def drop(older_than_seconds: float, limit: int) -> Delete:
    """Delete what is old."""
    old = (
        select(celery_results.c.task_id)
        .where(celery_results.c.at < now_plus(-older_than_seconds))
        .order_by(celery_results.c.at)
        .limit(limit)
    )
    return delete(celery_results).where(celery_results.c.task_id.in_(old))
