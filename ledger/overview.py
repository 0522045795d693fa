"""How the whole platform stands at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import Job, WorkerRow
from holdfast.jobs.state import JobState
from holdfast.ledger.records import PausedQueue, QueueCount

RECENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Jobs that are parked for the same."""

    waiting_for: str
    """Such as `upstream:search`."""
    count: int
    since: datetime
    """When the oldest of them was due."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is going on. What has ended long ago is not in it, so that it costs nothing to look."""

    at: datetime
    """By the database's clock."""
    counts: Sequence[QueueCount]
    """Of the jobs that have not ended, and of those in the quarantine."""
    recent: Mapping[JobState, int]
    """How many ended within the last minute, as completed and as cancelled."""
    running: Sequence[Job]
    """Some of the running jobs, the longest first, without their arguments."""
    held: Mapping[WorkerId, int]
    """How many jobs run where."""
    waits: Sequence[Wait]
    """What parked jobs wait for, the most waited for first."""
    workers: Sequence[WorkerRow]
    """Those that live."""
    pauses: Sequence[PausedQueue]

    def number(self, *states: JobState) -> int:
        """Return how many jobs are in these states, over all queues."""
        return sum(count.count for count in self.counts if count.state in states)
