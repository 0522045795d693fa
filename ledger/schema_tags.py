"""What finds jobs by their tags.

The tags of a job are read from its own row, which has them in a column. This
table is the index over them: on both databases one lookup finds the few jobs of
a rare tag in a million, and no change of a job's state ever writes into it.
"""

from typing import Final

from sqlalchemy import Column, Index, String, Table

from holdfast.jobs.ids import LONGEST_JOB_ID
from holdfast.jobs.tags import LONGEST_TAG
from holdfast.ledger.schema_rules import metadata

job_tags: Final = Table(
    "job_tags",
    metadata,
    Column("job_id", String(LONGEST_JOB_ID), primary_key=True),
    Column("tag", String(LONGEST_TAG), primary_key=True),
    Index("ix_job_tags_tag_job_id", "tag", "job_id"),
)
