"""The table of what plain Celery tasks came to, loaded beside ours."""

from typing import Final

from sqlalchemy import Column, String, Table, Text

from holdfast.ledger.schema_rules import LONGEST_NAME, instants, metadata
from holdfast.ledger.types import Instant

# Celery's own text, never ours.
celery_results: Final = Table(
    "celery_results",
    metadata,
    Column("task_id", String(LONGEST_NAME), primary_key=True),
    Column("state", String(64), nullable=False),
    Column("result", Text),
    Column("traceback", Text),
    Column("at", Instant, nullable=False, index=True),
    *instants("at"),
)
