"""Test your jobs: the production executor on a real ledger, in the test's own process and time.

No broker, no worker process and no waiting: a SQLite ledger of its own for each
test, a clock that the test moves, and a worker that dies where the test says so.
"""

from holdfast.testing.clock import FakeClock
from holdfast.testing.crash import CRASH_POINTS, CrashAt, Crashed, CrashPoint
from holdfast.testing.enqueued import EnqueuedJob
from holdfast.testing.life import crash_now
from holdfast.testing.outcome import JobOutcome
from holdfast.testing.platform import Platform
from holdfast.testing.run import every_crash, every_crash_sync, run_task, run_task_sync

__all__ = [
    "CRASH_POINTS",
    "CrashAt",
    "CrashPoint",
    "Crashed",
    "EnqueuedJob",
    "FakeClock",
    "JobOutcome",
    "Platform",
    "crash_now",
    "every_crash",
    "every_crash_sync",
    "run_task",
    "run_task_sync",
]
