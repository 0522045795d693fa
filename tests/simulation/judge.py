"""What must be true after each step, whatever happened. It only looks; it never decides for a worker."""

from collections import Counter
from dataclasses import dataclass, field

from holdfast.jobs.concurrency import TURN
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import NewJob
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.state import FINAL_STATES, JobState, Move
from holdfast.tests.simulation.database import Database
from holdfast.tests.simulation.fibers import Process
from holdfast.tests.simulation.matrix import Transition
from holdfast.tests.simulation.parts import MOST_LIMITED
from holdfast.tests.simulation.story import Broken

_COLUMNS = (
    "id, state, generation, attempt, fence_incarnation, fence_counter, lease_token, worker_id, reason,"
    " result, next_ring_at, moments, detail, ticket, parent_id, child_group, child_position, limit_key"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A job as it was committed."""

    id: str
    state: str
    generation: int
    attempt: int
    incarnation: int
    counter: int
    token: str | None
    worker_id: str | None
    reason: str | None
    result: str | None
    next_ring_at: str | None
    moments: int
    detail: str | None
    ticket: str | None
    parent_id: str | None
    group: str | None
    position: int | None
    limit_key: str | None

    @property
    def fence(self) -> Fence:
        """The order of its claims."""
        return Fence(self.incarnation, self.counter)

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL_STATES


@dataclass
class Life:
    """What the judge knows of a worker's row."""

    process: Process
    beat_at: float


@dataclass
class Judge:
    """Compares each commit with what was before."""

    database: Database
    jobs: list[NewJob]
    max_attempts: int
    lease_seconds: float
    rows: dict[str, Row] = field(default_factory=dict)
    highest: dict[str, Fence] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)
    handlers: dict[tuple[str, str], Process] = field(default_factory=dict)
    """Which process runs the handler of an attempt, by job and token."""
    tickets: dict[str, str] = field(default_factory=dict)
    """Which job each ticket was given to."""
    granted: set[str] = field(default_factory=set)
    """The tokens of all claims so far."""
    excused: set[str] = field(default_factory=set)
    """Available jobs whose ring may be missing, since it was lost or dropped with a word."""

    def begin(self) -> None:
        """Start from what is committed; also after a database that forgot."""
        self.rows = self._read()
        self._forget_nobody()
        for row in self.rows.values():
            self.spent[row.id] = row.attempt - (row.state == JobState.RUNNING)
        self.excused |= {row.id for row in self.rows.values() if row.state == JobState.AVAILABLE}

    def committed(
        self, process: Process, verb: str, leases: list[Lease], kinds: dict[str, str]
    ) -> list[Transition]:
        """Judge a commit, and say what it changed; `kinds` names the verb of each job's history."""
        before, self.rows = self.rows, self._read()
        self._forget_nobody()
        self._welcome([row for row in self.rows.values() if row.id not in before])
        changed = [(before[row.id], row) for row in self.rows.values() if row != before.get(row.id, row)]
        held = {lease.job_id: lease for lease in leases}
        made: list[Transition] = []
        self._check_limit()
        for old, new in changed:
            self._check_final(old, new)
            self._check_family(old, new)
            self._check_owner(process, verb, held, old, new)
            if new.token:
                self.granted.add(new.token)
            if old.moments != new.moments:
                transition = Transition(Move(kinds[new.id]), JobState(old.state), JobState(new.state))
                self._count(transition, new)
                made.append(transition)
            self._check_budget(new)
            self._check_ticket(new)
        return made

    def _welcome(self, children: list[Row]) -> None:
        """Children are born; a place has one of them."""
        for row in children:
            self.spent[row.id] = 0
        if children:
            places = Counter(
                (row.parent_id, row.group, row.position) for row in self.rows.values() if row.group
            )
            twice = [place for place, count in places.items() if count > 1]
            if twice:
                raise Broken(f"two children have one place: {twice}")

    def _check_limit(self) -> None:
        """Of those that a limit counts no more run than may."""
        running = [row.id for row in self.rows.values() if row.state == JobState.RUNNING and row.limit_key]
        if len(running) > MOST_LIMITED:
            raise Broken(f"at once run {running}")

    def _check_family(self, old: Row, new: Row) -> None:
        """A parent that waits for all of its children completes after all of them."""
        if new.state != JobState.COMPLETED or old.state == JobState.COMPLETED:
            return
        left = [row.id for row in self.rows.values() if row.parent_id == new.id and not row.is_final]
        if left:
            raise Broken(f"{new.id} completed before its children {left}")

    def beat(self, process: Process, worker_id: str, now: float) -> None:
        """A worker's row was written by itself."""
        self.lives[worker_id] = Life(process, now)

    def declared_dead(self, by: Process, worker_id: str, now: float) -> None:
        """Somebody ended a worker's row."""
        life = self.lives.get(worker_id)
        if life is None or not life.process.is_alive or life.process is by:
            return
        silent = now - life.beat_at
        if silent < self.lease_seconds:
            raise Broken(f"{by.name} declared {life.process.name} dead, which beat {silent:.1f} s ago")

    def ring_is_gone(self, process: Process, job_id: JobId, *, others: bool, now: str) -> None:
        """A ring was acknowledged; judge whether its job can still be found."""
        row = self.rows.get(job_id)
        if row is None or row.state != JobState.AVAILABLE or others or job_id in self.excused:
            return
        if row.next_ring_at is not None and row.next_ring_at > now:
            raise Broken(f"{process.name} acknowledged the last ring of {job_id}, which is still available")

    def end(self) -> None:
        """Judge the end of a calm phase: everything has ended."""
        left = [row for row in self.rows.values() if not row.is_final]
        if left:
            told = "; ".join(f"{row.id} is {row.state} ({row.detail})" for row in left)
            raise Broken(f"forgotten in the calm: {told}")

    @property
    def is_over(self) -> bool:
        """Whether every job has ended."""
        return all(row.is_final for row in self.rows.values())

    def _read(self) -> dict[str, Row]:
        return {row[0]: Row(*row) for row in self.database.rows(f"SELECT {_COLUMNS} FROM jobs")}  # noqa: S608 -- our own words

    def _forget_nobody(self) -> None:
        if len(self.rows) < len(self.jobs):
            lost = {job.id for job in self.jobs} - set(self.rows)
            raise Broken(f"the ledger has no row of {sorted(lost)}")

    def _check_final(self, old: Row, new: Row) -> None:
        if not old.is_final or new.generation > old.generation:
            return
        if (old.state, old.reason, old.result) != (new.state, new.reason, new.result):
            raise Broken(f"{new.id} was {old.state} for good and became {new.state}")

    def _check_owner(self, process: Process, verb: str, held: dict[JobId, Lease], old: Row, new: Row) -> None:
        if new.state == JobState.RUNNING and (new.token, new.fence) != (old.token, old.fence):
            if old.state == JobState.RUNNING:
                raise Broken(f"{new.id} was taken from {old.worker_id} by {new.worker_id} while it ran")
            if new.fence <= self.highest.get(new.id, Fence(0, 0)):
                raise Broken(f"{new.id} got fence {new.fence} after {self.highest[new.id]}")
            self.highest[new.id] = new.fence
        if old.state != JobState.RUNNING or new.state == JobState.RUNNING:
            return
        if verb == "settle":
            self._check_author(process, held, old)
        runs_in = self.handlers.get((old.id, str(old.token)))
        if verb in {"settle", "hand_back"} and runs_in is not None and runs_in.is_alive:
            raise Broken(f"{old.id} was given up by {process.name} while its handler runs")

    def _check_ticket(self, new: Row) -> None:
        if new.ticket not in {None, TURN} and self.tickets.setdefault(new.ticket, new.id) != new.id:
            raise Broken(f"{new.id} has the ticket of {self.tickets[new.ticket]}")

    def _check_author(self, process: Process, held: dict[JobId, Lease], old: Row) -> None:
        lease = held.get(JobId(old.id))
        if lease is None or (lease.token, lease.fence) != (old.token, old.fence):
            raise Broken(
                f"{process.name} settled {old.id} as {lease}, which {old.worker_id} holds as {old.fence}"
            )

    def _count(self, transition: Transition, new: Row) -> None:
        if transition.move is Move.RETRY:
            self.spent[new.id] += 1
        if transition.move is Move.REQUEUE:
            self.spent[new.id] = 0
        if transition.source is JobState.AVAILABLE:
            self.excused.discard(new.id)

    def _check_budget(self, new: Row) -> None:
        wanted = self.spent[new.id] + (new.state == JobState.RUNNING)
        if new.attempt > self.max_attempts or (not new.is_final and new.attempt != wanted):
            raise Broken(f"{new.id} is at attempt {new.attempt}, and {self.spent[new.id]} were spent")
