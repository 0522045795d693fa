"""Outcomes as lines of text: versioned, and with a checksum, so that a torn one is known as such.

8 hex digits of CRC-32, a space, one JSON object, a newline
"""

import json
import zlib
from typing import Any, Final

from holdfast.jobs.ids import JobId, LeaseToken, WorkerId
from holdfast.jobs.job import Settlement
from holdfast.jobs.lease import Fence, Lease
from holdfast.workers.outcomes import outcome_as_json, outcome_of_json

FORMAT: Final = 1


class UnknownFormat(Exception):
    """A file of a version that this one cannot read: it is left to that one."""


def header() -> bytes:
    """Return the first line of a file."""
    return _line({"format": FORMAT})


def line_of(settlement: Settlement) -> bytes:
    """Write a settlement as one line. Raises ValueError or TypeError for what no JSON can hold."""
    lease = settlement.lease
    return _line(
        {
            "job_id": lease.job_id,
            "token": lease.token,
            "worker_id": lease.worker_id,
            "fence": [lease.fence.incarnation, lease.fence.counter],
            "attempt": lease.attempt,
            "outcome": outcome_as_json(settlement.outcome),
        }
    )


def read(content: bytes) -> tuple[list[Settlement], int]:
    """Return what a file holds, and how many of its lines are torn. Raises UnknownFormat.

    A torn line was never reported as written: its process died, or the disk was full, in the middle of it.
    """
    settlements: list[Settlement] = []
    torn = 0
    for number, line in enumerate(content.splitlines()):
        try:
            found = _object(line)
            if number:
                settlements.append(_settlement(found))
        except (ValueError, TypeError, KeyError):
            torn += 1
            continue
        if number == 0 and found.get("format") != FORMAT:
            raise UnknownFormat(str(found.get("format"))[:100])
    return settlements, torn


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _object(line: bytes) -> dict[str, Any]:
    checksum, _, text = line.partition(b" ")
    if int(checksum, 16) != zlib.crc32(text):
        raise ValueError("the checksum is another one")
    found: dict[str, Any] = json.loads(text)
    return found


def _settlement(found: dict[str, Any]) -> Settlement:
    lease = Lease(
        JobId(found["job_id"]),
        LeaseToken(found["token"]),
        WorkerId(found["worker_id"]),
        Fence(*found["fence"]),
        found["attempt"],
    )
    return Settlement(lease, outcome_of_json(found["outcome"]))
