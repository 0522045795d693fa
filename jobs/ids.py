"""Names of jobs, workers and leases."""

import re
import secrets
import uuid
from typing import NewType

from holdfast.jobs.clock import unix_nanoseconds

JobId = NewType("JobId", str)
"""A job's id: a UUID of version 7 for our own jobs, up to 255 printable characters for adopted ones."""

WorkerId = NewType("WorkerId", str)
"""The boot id of one worker process: random, never used again."""

LeaseToken = NewType("LeaseToken", str)
"""Who may write: 128 random bits in hex, made by the worker before it sends the claim (protocol rule B2)."""

LONGEST_JOB_ID = 255
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}\Z")
_NANOSECONDS_PER_MILLISECOND = 1_000_000


def new_job_id() -> JobId:
    """Make a time-ordered id: UUID version 7 of RFC 9562, 5.7.

    The 12 bits after the milliseconds hold the fraction of the millisecond
    (method 3 of section 6.2), so ids of one process sort by time of making.
    """
    milliseconds, rest = divmod(unix_nanoseconds(), _NANOSECONDS_PER_MILLISECOND)
    fraction = rest * 4096 // _NANOSECONDS_PER_MILLISECOND
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62
    return JobId(str(uuid.UUID(int=value | secrets.randbits(62))))


def new_worker_id() -> WorkerId:
    """Make the boot id of a worker process: 128 random bits in hex."""
    return WorkerId(secrets.token_hex(16))


def new_lease_token() -> LeaseToken:
    """Make the token of one claim: 128 random bits in hex."""
    return LeaseToken(secrets.token_hex(16))


def is_job_id(text: object) -> bool:
    """Tell whether a text from outside can be a job's id: 1 to 255 printable ASCII characters, no space."""
    return isinstance(text, str) and _PRINTABLE.match(text) is not None
