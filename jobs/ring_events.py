"""What happens to rings, the messages that say "look for this job", as typed records like `events.py`'s."""

from dataclasses import dataclass
from typing import ClassVar

from holdfast.jobs.events import Event, Level


@dataclass(frozen=True, slots=True)
class RingsSent(Event):
    """The stager rang what was due."""

    level: ClassVar[Level] = "debug"
    count: int


@dataclass(frozen=True, slots=True)
class RingTurned(Event):
    """A ring came where more waits than can run, and brought the job whose turn it was, `brought`."""

    level: ClassVar[Level] = "debug"
    job_id: str
    brought: str


@dataclass(frozen=True, slots=True)
class RingDropped(Event):
    """A ring named a job that cannot run now, or belongs elsewhere; harmless."""

    level: ClassVar[Level] = "debug"
    job_id: str
    why: str
