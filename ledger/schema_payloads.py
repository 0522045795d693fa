"""Arguments and results that are too large for their job's row.

The row holds a reference (`jobs/claim_check.py`), so listings, claims and sweeps
never read the text. A payload belongs to one job, and goes with it.
"""

from typing import Final

from sqlalchemy import Column, String, Table, Text

from holdfast.jobs.claim_check import LARGEST_EVER_BYTES
from holdfast.jobs.ids import LONGEST_JOB_ID
from holdfast.ledger.schema_rules import metadata, texts

payloads: Final = Table(
    "payloads",
    metadata,
    Column("job_id", String(LONGEST_JOB_ID), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    *texts(LARGEST_EVER_BYTES, "body"),
)
