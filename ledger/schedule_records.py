"""Records of schedules that cross the border of the ledger."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.jobs.ids import JobId
from holdfast.jobs.schedules.definition import Definition, Source


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as the ledger holds it."""

    definition: Definition
    source: Source
    release: int
    """Of the code that declared it; 0 where none was named."""
    anchor: datetime
    """Intervals count from it."""
    next_tick: datetime
    """Not followed while it is paused."""
    last_tick: datetime | None
    """The last one that fired."""
    ticks: int
    """How many jobs its ticks became."""
    paused_at: datetime | None
    pause_reason: str
    created_at: datetime
    changed_at: datetime

    @property
    def name(self) -> str:
        """What it is called."""
        return self.definition.name

    def is_as(self, definition: Definition) -> bool:
        """Tell whether it does what a definition asks for."""
        return self.definition == definition


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that became a job."""

    schedule: str
    at: datetime
    job_id: JobId
    task: str
    queue: str
    priority: int
    cohort: int | None = None
    """Set: it runs in an isolated process, and no ring calls for it."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What came of the ticks that were due."""

    ticks: tuple[Tick, ...]
    left_out: tuple[str, ...]
    """Schedules of which ticks were missed and left out, as they ask for."""
    stopped: tuple[tuple[str, str], ...]
    """Schedules that cannot be followed and are paused now, each with the reason."""
    is_more: bool
    """More ticks are due at once."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What came of the schedules that the code of a release declares; all by name."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    """Those that the ledger holds otherwise, and goes on so, each with the reason."""
