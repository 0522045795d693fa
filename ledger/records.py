"""Records of the ledger that are not about one job."""

from dataclasses import dataclass
from datetime import datetime

from holdfast.jobs.ids import JobId, WorkerId
from holdfast.jobs.state import JobState, QuarantineReason


@dataclass(frozen=True, slots=True)
class NewWorker:
    """A worker process that reports for duty."""

    id: WorkerId
    name: str
    host: str
    pid: int
    version: str
    slots: int
    queues: tuple[str, ...]
    machine_id: str = ""
    """Names the machine, its boot and the pid namespace: where `pid` means something."""
    started_marker: str = ""
    """When the process started, as the machine says it: pids are used again."""
    has_lane: bool = False
    """It has isolated processes, for isolated tasks and for suspects."""


@dataclass(frozen=True, slots=True)
class OfferRow:
    """A task that a live worker can run."""

    worker_id: WorkerId
    worker: str
    """The worker's name."""
    task: str
    version: str
    queue: str
    schema: str
    """JSON schema of the arguments, as text."""
    isolated: bool = False
    """Each of its jobs runs in a process of its own."""

    @property
    def cohort(self) -> int | None:
        """How many of its jobs may share a process of their own; None: they run in the worker."""
        return 1 if self.isolated else None


@dataclass(frozen=True, slots=True)
class JobMoment:
    """A change in a job's life."""

    job_id: JobId
    seq: int
    """Counts from 1 within the job, without gaps."""
    at: datetime
    kind: str
    """`enqueue`, `adopt`, `refuse`, or the name of a verb of `jobs.state.Move`."""
    state: JobState
    """The state after it."""
    attempt: int
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class QueueCount:
    """How many jobs of a queue are in a state."""

    queue: str
    state: JobState
    count: int
    oldest_seconds: float
    """Since the earliest `run_at` among them; 0 if that is still to come."""


@dataclass(frozen=True, slots=True)
class ParkedGroup:
    """Jobs of one tenant and one priority that wait for the same upstream."""

    waiting_for: str
    """`upstream:` and its name."""
    priority: int
    tenant: str | None
    waiting: int
    """How many they are."""
    since: datetime
    """When the oldest of them was due; a job that is parked again keeps its age."""


@dataclass(frozen=True, slots=True)
class PausedQueue:
    """A queue on which no claim is granted."""

    queue: str
    paused_at: datetime
    reason: str = ""
    """What whoever paused it gave as one; may be empty."""

    @property
    def remark(self) -> str:
        """Say it in one line."""
        since = f"paused since {self.paused_at:%Y-%m-%d %H:%M:%S}"
        return f"{since}: {' '.join(self.reason.split())}" if self.reason else since


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that could not become a job, kept for the operator."""

    id: int
    queue: str
    reason: QuarantineReason
    detail: str
    source: str
    raw: bytes
    """Its body, at most 1 MiB; of bytes that are no message, the first 64 KiB. In a list: the first KiB."""
    size: int
    """Bytes of the whole."""
    digest: str
    """SHA-256 of the whole, in hex."""
    count: int
    """How often the same message came."""
    first_seen_at: datetime
    last_seen_at: datetime
    envelope: str | None = None
    """Headers and properties as JSON. None: `raw` is all there was; empty: it could not be kept."""
    replays: int = 0
    """How often it was sent again."""
    replayed_at: datetime | None = None
    """None if it was not replayed since it came last: it is open."""

    @property
    def is_whole(self) -> bool:
        """Tell whether all of it was kept."""
        return self.size == len(self.raw) and self.envelope != ""


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which quarantined messages; empty filters let all through."""

    reasons: tuple[QuarantineReason, ...] = ()
    queues: tuple[str, ...] = ()
    """The broker's names."""
    with_replayed: bool = True


@dataclass(frozen=True, slots=True)
class MessageCount:
    """How many messages a filter lets through, for a drop of just these."""

    count: int
    newest: int
    """The highest id among them."""


@dataclass(frozen=True, slots=True)
class CeleryResult:
    """What a plain Celery task came to, as Celery wrote it."""

    task_id: str
    state: str
    """Celery's name of the state, such as `SUCCESS`."""
    result_json: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class LedgerPing:
    """How long the database took to answer."""

    read_ms: float
    write_ms: float


@dataclass(frozen=True, slots=True)
class LimitBook:
    """A limit on how many run at once, and who holds its places: each is a running job, and nothing else."""

    key: str
    most: int
    running: int
    left: int
    """Running jobs whose worker is gone: the rescue takes them back."""
