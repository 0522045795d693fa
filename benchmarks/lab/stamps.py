"""When each job began, told by its handler, on every side in the same way.

A file that all processes append to: 16 bytes a job, the job's number and the
machine's monotonic clock, which all processes share.
"""

import os
import struct
import time
from pathlib import Path
from typing import Final

_RECORD: Final = struct.Struct("<qd")
_descriptors: dict[str, int] = {}


def stamp(path: str, number: int) -> None:
    """Say that a job runs now; a few microseconds."""
    descriptor = _descriptors.get(path)
    if descriptor is None:
        descriptor = _descriptors[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, _RECORD.pack(number, time.monotonic()))


class Stamps:
    """The other end of it."""

    def __init__(self, folder: Path) -> None:
        """Begin an empty file."""
        self.path = folder / f"stamps-{time.monotonic_ns()}"
        self.path.touch(mode=0o600)

    def __len__(self) -> int:
        """Return how many jobs have begun."""
        return self.path.stat().st_size // _RECORD.size

    def wait_for(self, count: int, *, timeout_seconds: float) -> float:
        """Wait until so many have begun, and return when it was seen. Raises TimeoutError."""
        ends_at = time.monotonic() + timeout_seconds
        while len(self) < count:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"{len(self)} of {count} jobs began in {timeout_seconds:g} s")
            time.sleep(0.002)  # noqa: TID251 -- a file tells nobody that it has grown
        return time.monotonic()

    def first_of_each(self) -> dict[int, float]:
        """Return when each job began for the first time, by its number."""
        data = self.path.read_bytes()
        began: dict[int, float] = {}
        for number, instant in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size]):
            began.setdefault(number, instant)
        return began
