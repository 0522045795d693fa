"""What happens to schedules, as typed records like those of `events.py`."""

from dataclasses import dataclass
from typing import ClassVar

from holdfast.jobs.events import Event, Level


@dataclass(frozen=True, slots=True)
class TicksFired(Event):
    """Ticks of schedules became jobs; `late_seconds` is how late the latest of them was."""

    level: ClassVar[Level] = "debug"
    count: int
    late_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TicksLeftOut(Event):
    """Ticks of a schedule passed while nobody fired them, and are left out, as it asks for."""

    level: ClassVar[Level] = "warning"
    schedule: str


@dataclass(frozen=True, slots=True)
class ScheduleStopped(Event):
    """A schedule cannot be followed and is paused until an operator has mended it."""

    level: ClassVar[Level] = "error"
    schedule: str
    why: str


@dataclass(frozen=True, slots=True)
class SchedulesDeclared(Event):
    """A worker's code declared schedules, and the ledger changed; the names are joined by commas."""

    release: int
    added: str = ""
    changed: str = ""
    removed: str = ""


@dataclass(frozen=True, slots=True)
class ScheduleNotChanged(Event):
    """The ledger holds a schedule otherwise than the code of this worker, and goes on so.

    Where the code is right, raise HOLDFAST_RELEASE with the deploy that changes it.
    """

    level: ClassVar[Level] = "warning"
    schedule: str
    release: int
    why: str
