"""The table of unique keys: who of the jobs that count as the same is there, and who waits for it."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, SmallInteger, String, Table, column, or_

from holdfast.jobs.ids import LONGEST_JOB_ID
from holdfast.ledger.schema_rules import metadata
from holdfast.ledger.types import Instant, IsInstant

HOLDS: Final = 1
WAITS: Final = 2

unique_keys: Final = Table(
    "unique_keys",
    metadata,
    Column("job_id", String(LONGEST_JOB_ID), primary_key=True),
    Column("digest", String(64), nullable=False),
    # 1: holds the key; 2: gets it when the one that holds it has ended; NULL: had it, or never will.
    Column("place", SmallInteger),
    # NULL: as long as the states of its job say.
    Column("held_until", Instant, index=True),
    # How the job ended, once its row is pruned.
    Column("became", String(16)),
    CheckConstraint(column("place").in_([HOLDS, WAITS]), name="place"),
    CheckConstraint(or_(column("held_until").is_(None), IsInstant(column("held_until"))), name="held_until"),
    # The rule itself, which no program can break: both databases take any number of NULLs.
    Index("uq_unique_keys_digest_place", "digest", "place", unique=True),
)
