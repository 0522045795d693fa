"""The table of what parents wait for."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, Integer, String, Table, Text

from holdfast.jobs.children import FailurePolicy
from holdfast.jobs.ids import LONGEST_JOB_ID
from holdfast.ledger.schema_rules import LONGEST_NAME, metadata, one_of

gatherings: Final = Table(
    "gatherings",
    metadata,
    Column("parent_id", String(LONGEST_JOB_ID), primary_key=True),
    Column("name", String(LONGEST_NAME), primary_key=True),
    Column("policy", String(16), nullable=False),
    # A JSON array of the names of groups.
    Column("groups", Text, nullable=False),
    # Of what was planned, and the parent's generation in which that was.
    Column("digest", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    CheckConstraint(one_of("policy", FailurePolicy), name="policy"),
)
