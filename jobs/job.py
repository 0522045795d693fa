"""The records that cross the border of the ledger."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import JobId, LeaseToken, WorkerId
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.outcome import Outcome
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.jobs.unique import Conflict, UniqueKey

DEFAULT_QUEUE: Final = "default"
DEFAULT_PRIORITY: Final = 5
HIGHEST_PRIORITY: Final = 0
LOWEST_PRIORITY: Final = 9
DEFAULT_TOTAL_AGE_SECONDS: Final = 7 * 24 * 3600.0
DEFAULT_ATTEMPT_SECONDS: Final = 3600.0
NO_FENCE: Final = Fence(0, 0)
"""Before the first claim."""


@dataclass(frozen=True, slots=True)
class Parentage:
    """A child's place in its parent's plan."""

    parent_id: JobId
    group: str
    position: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """A request, checked and ready to be written. All times are relative to the database's clock."""

    id: JobId
    task: str
    arguments: str
    """Strict JSON text of one object: parameter name to value."""
    version: str = "1"
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    """0 is first, 9 is last."""
    tenant: str | None = None
    principal: str = "client"
    """Who asked: `client`, `broker` for adopted jobs, `schedule:` and its name, `sql:` and a role."""
    delay_seconds: float = 0.0
    run_at: datetime | None = None
    """Wins over `delay_seconds`."""
    deadline_at: datetime | None = None
    deadline_seconds: float | None = None
    """From now; `deadline_at` wins over it."""
    key: str | None = None
    """The caller's name for this request: a second enqueue with the same task and key gets the first job."""
    key_seconds: float = DEFAULT_TOTAL_AGE_SECONDS
    """How long the key is remembered, whatever becomes of the job."""
    unique: UniqueKey | None = None
    """Only one job of this key may be there at a time; None: as many as are asked for."""
    soft_timeout_seconds: float | None = None
    """A tighter soft limit for this job alone; None leaves it to the task."""
    hard_timeout_seconds: float | None = None
    trace: str | None = None
    """W3C trace parent of the caller, if there is one."""
    cohort: int | None = None
    """1: run it alone in a process of its own. None: in a worker, with all others."""
    tags: tuple[str, ...] = ()
    """The caller's own words, to find the job by."""
    parentage: Parentage | None = None
    """Set for a child."""
    scheduled_for: datetime | None = None
    """The tick of the schedule that it is for."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer to one request."""

    job_id: JobId
    created: bool
    """False if the key was known, or another job holds the unique key: `job_id` is then that job's."""
    state: JobState
    conflict: Conflict | None = None
    """What was done because another job held the unique key; None: none did. `returned` and `dropped`:
    nothing. `replaced`: it has these arguments now. `moved`: and it waits anew. `superseded`: it was
    cancelled, and this is a new one. `waits`: it was asked to end, and the new one begins after its end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job says it is."""

    done: float
    total: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the ledger holds it."""

    id: JobId
    task: str
    version: str
    queue: str
    state: JobState
    arguments: str
    created_at: datetime
    run_at: datetime
    priority: int = DEFAULT_PRIORITY
    tenant: str | None = None
    principal: str = "client"
    generation: int = 1
    """Raised by an operator's requeue; a final state is written once per generation."""
    attempt: int = 0
    claims: int = 0
    """Every claim ever; bounds what given-back attempts cannot (B25)."""
    wake_seq: int = 0
    fence: Fence = NO_FENCE
    reason: QuarantineReason | None = None
    detail: str | None = None
    """What a waiting or ended job says of itself: what it is parked on, why it was cancelled."""
    result: str | None = None
    failure: Failure | None = None
    progress: Progress | None = None
    deadline_at: datetime | None = None
    expires_at: datetime | None = None
    """The end of the job's total age."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker_id: WorkerId | None = None
    attempt_ends_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    soft_timeout_seconds: float | None = None
    hard_timeout_seconds: float | None = None
    trace: str | None = None
    key: str | None = None
    cohort: int | None = None
    """Runs in an isolated process, with at most so many jobs; None: in a worker, with all others (B11)."""
    crashes: int = 0
    """Processes that died while this job was suspected of it."""
    waiting_for: str | None = None
    """What would let a parked job go on, such as `upstream:search`; None in every other state."""
    ticket: str | None = None
    """The right to one call that was taken for it when it was released; gone with the end of the attempt."""
    tags: tuple[str, ...] = ()
    """Its enqueuer's own words, to find it by."""
    parent_id: JobId | None = None
    """The job that started it as its child."""
    scheduled_for: datetime | None = None
    """The tick of the schedule that it is for; None for all other jobs."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job, finished or not."""

    job_id: JobId
    token: LeaseToken
    generation: int
    number: int
    fence: Fence
    worker_id: WorkerId
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    """`completed`, `retry`, `snooze`, `park`, `cancel`, `quarantine`, `handed_back`, `lost`, `crashed`."""
    failure: Failure | None = None
    late: str | None = None
    """An outcome that came after the lease was lost: shown, never applied."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """One wish to run a job. The token is made before it is sent, so that a lost reply can be asked for."""

    token: LeaseToken
    job_id: JobId | None = None
    """None asks for the next available job of the worker's queues."""


@dataclass(frozen=True, slots=True)
class Without:
    """What a wish for any job must not be granted."""

    tasks: frozenset[str] = frozenset()
    jobs: frozenset[JobId] = frozenset()


@dataclass(frozen=True, slots=True)
class Apart:
    """A wish for jobs that run in an isolated process, and for no others (B11)."""

    least_cohort: int = 1
    """Only jobs that may share their process with so many, themselves counted."""


NO_EXCEPTION: Final = Without()


@dataclass(frozen=True, slots=True)
class Claim:
    """A granted wish."""

    lease: Lease
    job: Job


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of an attempt, to be written under its lease."""

    lease: Lease
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Settled:
    """What the ledger made of a settlement."""

    lease: Lease
    state: JobState | None
    """The job's state after it, or None: the lease was lost and nothing was written."""
    run_at: datetime | None = None

    @property
    def is_lost(self) -> bool:
        """Tell whether somebody else holds, or has ended, the job."""
        return self.state is None


@dataclass(frozen=True, slots=True)
class Held:
    """A running row that the ledger counts as a worker's."""

    job_id: JobId
    token: LeaseToken
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A job that ran when its worker died."""

    job_id: JobId
    token: LeaseToken
    seconds: float
    """How long it had run, by the database's clock."""
    said: str = ""
    """The text of its last report of progress."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A doorbell to be rung: names a job, carries nothing else."""

    job_id: JobId
    task: str
    queue: str
    priority: int = DEFAULT_PRIORITY
    is_held: bool = False
    """Its queue is paused: nobody may claim the job, so nobody is to be rung."""


@dataclass(frozen=True, slots=True)
class Released:
    """A parked job that may go on."""

    job_id: JobId
    task: str
    queue: str
    ticket: str | None
    """The right to one call that it carries."""
    waited_seconds: float
    """How long it was parked, by the database's clock."""
    cohort: int | None = None
    """Set: it runs in an isolated process, and no ring calls for it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A task that a worker can run."""

    task: str
    version: str
    queue: str
    schema: str = field(repr=False, default="{}")
    """JSON schema of the arguments, as text."""
    isolated: bool = False
    """Each of its jobs runs in a process of its own."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process as the ledger sees it. Its row is the judge of its life (B3)."""

    id: WorkerId
    name: str
    host: str
    pid: int
    version: str
    is_alive: bool
    beat_seq: int
    started_at: datetime
    seen_at: datetime
    slots: int
    queues: tuple[str, ...]
    machine_id: str = ""
    """Names the machine, its boot and the pid namespace: where `pid` means something."""
    started_marker: str = ""
    """When the process started, as the machine says it: pids are used again."""
    has_lane: bool = False
    """It has isolated processes: only such a worker runs jobs that have a cohort (B11)."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A running job that was taken back from a worker which is gone."""

    job_id: JobId
    task: str
    queue: str
    state: JobState
    worker_id: WorkerId | None
    why: str
    """`worker_lost` (the attempt was given back), `attempt_ended` (it was spent), or a reason of its own."""
    ticket: str | None = None
    """The right to a call that went with a worker which is gone: nobody makes that call any more."""
