"""The jobs of all workloads, the same on every side."""

import time
from typing import Final

from lab.stamps import stamp

TEXT: Final = "x" * 1024
WAIT_SECONDS: Final = 1.0
_WORK_SECONDS: Final = 0.002


def noop(path: str, number: int) -> int:
    """Do nothing."""
    stamp(path, number)
    return number


def work(path: str, number: int, text: str) -> int:
    """Use 2 ms of CPU."""
    stamp(path, number)
    ends_at = time.thread_time() + _WORK_SECONDS
    while time.thread_time() < ends_at:
        continue
    return len(text)


def wait(path: str, number: int) -> int:
    """Wait, holding a thread."""
    stamp(path, number)
    time.sleep(WAIT_SECONDS)  # noqa: TID251 -- a job that waits is what is measured
    return number
