"""What happens, as typed records; one module each turns them into logs, metrics and streams.

Events carry ids, names, numbers and reasons, never arguments, results or
secrets (G8).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Final, Literal

Level = Literal["debug", "info", "warning", "error"]
Reader = Callable[["Event"], None]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened."""

    level: ClassVar[Level] = "info"

    def values(self) -> dict[str, object]:
        """Return the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class JobEvent(Event):
    """Something happened to one job."""

    job_id: str
    task: str
    queue: str


@dataclass(frozen=True, slots=True)
class JobEnqueued(JobEvent):
    """A job was written; `created` is False when its key was known."""

    created: bool = True


@dataclass(frozen=True, slots=True)
class JobsRefused(Event):
    """A queue was full for `asked` new jobs of a class, so nothing of that request was written."""

    level: ClassVar[Level] = "warning"
    task: str
    queue: str
    job_class: str
    asked: int
    limit: int
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class JobAdopted(JobEvent):
    """A message of a plain Celery producer became a job."""


@dataclass(frozen=True, slots=True)
class JobClaimed(JobEvent):
    """A worker owns the job; `waited_seconds` is the time since it was due."""

    level: ClassVar[Level] = "debug"
    attempt: int = 1
    fence: str = "0.0"
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class JobSettled(JobEvent):
    """An attempt ended and the ledger took it; `outcome` is the outcome's name, `state` the job's."""

    outcome: str = ""
    state: str = ""
    attempt: int = 1
    seconds: float = 0.0
    reason: str = ""
    error_type: str = ""


@dataclass(frozen=True, slots=True)
class JobHandedBack(JobEvent):
    """A worker gave the job back unfinished, with its attempt."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class JobParked(JobEvent):
    """An attempt ended and its job waits for something that is not a time; `upstream:` and a name, mostly."""

    waiting_for: str = ""


@dataclass(frozen=True, slots=True)
class JobReleased(JobEvent):
    """A parked job may go on: its upstream takes calls again, or the job is the probe that finds out."""

    upstream: str = ""
    waited_seconds: float = 0.0
    """How long it was parked."""


@dataclass(frozen=True, slots=True)
class HandlerAbandoned(JobEvent):
    """A handler runs on and cannot be ended: its worker starts nothing new until it has ended, or leaves.

    `why` is `hard_limit` (it has passed that) or `lease_lost` (a thread works for a job that is somebody
    else's by now; only when these hold half of the threads the worker stops to claim).
    """

    level: ClassVar[Level] = "warning"
    attempt: int = 1
    limit_seconds: float = 0.0
    why: str = "hard_limit"


@dataclass(frozen=True, slots=True)
class LeaseWasLost(JobEvent):
    """A worker found that the job is not its own any more; it wrote nothing."""

    level: ClassVar[Level] = "warning"
    attempt: int = 1
    where: str = ""


@dataclass(frozen=True, slots=True)
class JobRescued(JobEvent):
    """A running job was taken back from a worker that is gone."""

    level: ClassVar[Level] = "warning"
    worker_id: str = ""
    state: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class JobExpired(JobEvent):
    """A waiting job passed its deadline or total age and was quarantined."""

    level: ClassVar[Level] = "warning"


@dataclass(frozen=True, slots=True)
class JobHasNoOffer(JobEvent):
    """No live worker can run the job; it waits."""

    level: ClassVar[Level] = "warning"
    waited_seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class JobsStaged(Event):
    """Scheduled jobs became available."""

    level: ClassVar[Level] = "debug"
    count: int


@dataclass(frozen=True, slots=True)
class MessageQuarantined(Event):
    """A message that is no job was kept aside."""

    level: ClassVar[Level] = "warning"
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class MessageKnown(Event):
    """A message came again whose job is there, or was; it was acknowledged and changed nothing."""

    level: ClassVar[Level] = "debug"
    job_id: str
    queue: str


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """A worker process registered."""

    worker_id: str
    name: str
    slots: int
    tasks: int


@dataclass(frozen=True, slots=True)
class WorkerDraining(Event):
    """A worker takes no new jobs."""

    worker_id: str
    running: int
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerUnfit(Event):
    """Something is short (`why`): a worker claims nothing; if that lasts it `leaves` with exit code 75."""

    level: ClassVar[Level] = "warning"
    worker_id: str
    why: str
    leaves: bool


@dataclass(frozen=True, slots=True)
class WorkerStopped(Event):
    """A worker process left; `handed_back` jobs go to others."""

    worker_id: str
    handed_back: int


@dataclass(frozen=True, slots=True)
class WorkerDeclaredDead(Event):
    """An observer saw no beat of a worker for a whole lease."""

    level: ClassVar[Level] = "warning"
    worker_id: str
    name: str


@dataclass(frozen=True, slots=True)
class TwinWatched(Event):
    """A worker that starts found its name in use: it starts if no beat is seen of that one for a lease."""

    level: ClassVar[Level] = "warning"
    worker_id: str
    name: str
    host: str
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerStuck(Event):
    """The event loop of a worker stood still past its limit: its companion writes the stacks and kills it."""

    level: ClassVar[Level] = "error"
    worker_id: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerDied(Event):
    """A worker's process ended without having left; `how` is the signal or the exit code."""

    level: ClassVar[Level] = "error"
    worker_id: str
    name: str
    how: str
    peak_mb: float
    """The most memory that it held at once (resident set)."""
    is_out_of_memory: bool = False
    """The kernel killed it for want of memory."""
    suspects: int = 0
    """Jobs that may have been its death, and run in isolated processes from now on."""


@dataclass(frozen=True, slots=True)
class IsolatedProcessDied(Event):
    """An isolated process died with the jobs that ran in it; the worker lives on."""

    level: ClassVar[Level] = "error"
    how: str
    """The signal, or the exit code."""
    peak_mb: float
    """The most memory that it held at once (resident set)."""
    is_out_of_memory: bool
    """The kernel killed it for want of memory."""
    jobs: int
    """How many jobs ran in it."""


@dataclass(frozen=True, slots=True)
class LeaseUnsure(Event):
    """A worker cannot reach the ledger: nothing new starts, what runs goes on."""

    level: ClassVar[Level] = "warning"
    worker_id: str
    error: str


@dataclass(frozen=True, slots=True)
class LeaseSure(Event):
    """A worker reached the ledger again."""

    worker_id: str
    away_seconds: float


@dataclass(frozen=True, slots=True)
class OutcomesSpooled(Event):
    """The ledger is out of reach, so outcomes began to wait on disk; `count` is how many came first."""

    level: ClassVar[Level] = "warning"
    count: int


@dataclass(frozen=True, slots=True)
class SpoolUnusable(Event):
    """The spool cannot be written: outcomes that wait for the ledger are kept in memory alone."""

    level: ClassVar[Level] = "error"
    error: str


@dataclass(frozen=True, slots=True)
class SpoolReplayed(Event):
    """The outcomes that a dead process left on disk were settled.

    Of them `late` came after their lease and stand on their attempts, and `refused` could not be
    written at all and stay in the folder; `torn` lines were cut off by the death.
    """

    level: ClassVar[Level] = "warning"
    count: int
    late: int
    refused: int
    torn: int


@dataclass(frozen=True, slots=True)
class LoopBlocked(Event):
    """The event loop did not turn for a while; `job_id` ran on it when it stopped."""

    level: ClassVar[Level] = "warning"
    seconds: float
    job_id: str
    task: str


@dataclass(frozen=True, slots=True)
class EpochChanged(Event):
    """The broker lost its data, so every waiting job rings again."""

    level: ClassVar[Level] = "warning"
    epoch: str


@dataclass(frozen=True, slots=True)
class ServiceFailed(Event):
    """A background service met an error and goes on."""

    level: ClassVar[Level] = "error"
    service: str
    error: str


class Events:
    """Hands each event to every reader. A reader that fails is logged and the others go on."""

    def __init__(self, *readers: Reader) -> None:
        """Start with these readers."""
        self._readers: tuple[Reader, ...] = readers

    def add(self, reader: Reader) -> None:
        """Let one more reader see all later events."""
        self._readers = (*self._readers, reader)

    @property
    def are_read(self) -> bool:
        """Tell whether anybody reads them: what happens very often is not put into words for nobody."""
        return bool(self._readers)

    def emit(self, event: Event) -> None:
        """Tell every reader. Never raises: an observer must not end a job."""
        for reader in self._readers:
            try:
                reader(event)
            except Exception:  # noqa: BLE001 -- whatever an observer does wrong, the work goes on
                _log.exception("a reader of events failed on %s", type(event).__name__)
