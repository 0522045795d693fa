"""The ledger: where the truth about jobs is. One synchronous object for every verb, safe for threads.

Each verb is one transaction; its docstring says what a repetition does. Every verb may raise
LedgerUnavailable (the database is away or too busy: try again) and LedgerError (it cannot be done: do not).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from holdfast.jobs.concurrency import ConcurrencyLimit
from holdfast.jobs.ids import JobId, WorkerId
from holdfast.jobs.job import (
    NO_EXCEPTION,
    Apart,
    Attempt,
    Claim,
    ClaimRequest,
    Enqueued,
    Held,
    Job,
    LeftBehind,
    Leftover,
    NewJob,
    Offer,
    Progress,
    Released,
    Ring,
    Settled,
    Settlement,
    Without,
    WorkerRow,
)
from holdfast.jobs.lease import Lease
from holdfast.jobs.retention import RetentionPolicy
from holdfast.jobs.rota import Rota
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.bulk import Bulk
from holdfast.ledger.children import Children
from holdfast.ledger.claiming import NO_LIMITS, Claiming
from holdfast.ledger.concurrency import Concurrency
from holdfast.ledger.config import LedgerConfig
from holdfast.ledger.engine import make_engine
from holdfast.ledger.enqueueing import Adoption, Enqueueing
from holdfast.ledger.foreign import Foreign
from holdfast.ledger.identity import Identity
from holdfast.ledger.inspection import Inspection
from holdfast.ledger.maintenance import Maintenance
from holdfast.ledger.parking import Parking
from holdfast.ledger.quarantine import Quarantine
from holdfast.ledger.reading import DEFAULT_LIST, Reading
from holdfast.ledger.records import (
    JobMoment,
    LedgerPing,
    NewWorker,
    OfferRow,
    ParkedGroup,
    PausedQueue,
    QueueCount,
)
from holdfast.ledger.retention import Retention
from holdfast.ledger.revision import check_revision
from holdfast.ledger.roster import Roster
from holdfast.ledger.schedules import Schedules
from holdfast.ledger.sessions import Guard, Sessions
from holdfast.ledger.settling import Settling
from holdfast.ledger.steering import CancelAnswer, Steering
from holdfast.ledger.transaction import Transactions


class Ledger:
    """Every verb of the ledger. Made by `connect`."""

    ledger_id: str
    """Random, made by the first migration: rings and sessions of another ledger are refused by it."""

    def __init__(self, config: LedgerConfig) -> None:
        """Prepare the pools; connects to nothing yet."""
        engine = make_engine(config, only_ours=True)
        transactions = Transactions(engine, schema=config.schema)
        self.ledger_id = ""
        self._engine = engine
        self._identity = Identity(transactions, config.schema, idle_seconds=config.idle_transaction_seconds)
        self._enqueueing = Enqueueing(transactions, config)
        self._settling = Settling(transactions)
        self.concurrency = Concurrency(transactions, self._settling)
        """Who waits for its turn under a limit on how many run at once."""
        self._claiming = Claiming(transactions, self._settling, self.concurrency, config)
        self.foreign = Foreign(transactions)
        """What plain Celery tasks came to, loaded beside ours."""
        self._roster = Roster(transactions)
        self._maintenance = Maintenance(transactions, self._settling)
        self.children = Children(transactions, self._enqueueing, self._settling)
        """The verbs of parents, and the sweeps that look after their children."""
        self._parking = Parking(transactions)
        self.retention = Retention(transactions)
        """Pruning, by task and state; `prune` keeps all tasks equally long."""
        self.quarantine = Quarantine(transactions)
        """The verbs of what was put aside."""
        self.schedules = Schedules(transactions, self._enqueueing)
        self._steering = Steering(transactions, config)
        self.inspection = Inspection(transactions)
        """Lists and counts of jobs by what is said of them."""
        self.bulk = Bulk(transactions, config)
        """Cancel, requeue and retry for many jobs."""
        self._reading = Reading(transactions)
        self._sessions = Sessions(config)

    def open(self, *, check_schema: bool = True) -> Self:
        """Learn which ledger this is; see `connect`. Without tables it stays nameless."""
        revision = self.revision()
        if check_schema:
            self._identity.check_session()
            check_revision(revision)
            self._identity.check_machine()
        if revision is not None:
            self.ledger_id = self._identity.fact("ledger_id")
            self._enqueueing.ledger_id = self.ledger_id
        return self

    def close(self) -> None:
        """Close all connections but those of asynchronous sessions (`close_async`)."""
        self._sessions.close()
        self._engine.dispose()

    async def close_async(self) -> None:
        """Close the asynchronous sessions' connections of the running loop."""
        await self._sessions.close_async()

    # Identity

    def revision(self) -> str | None:
        """Return the tables' revision, None if there are no tables."""
        return self._identity.revision()

    def promoted(self) -> int:
        """Say that the database may have forgotten commits: raises and returns the fence's incarnation."""
        return self._identity.promoted()

    def ping(self) -> LedgerPing:
        """Read and write a little, and say how long it took."""
        return self._identity.ping()

    # Beginnings

    def enqueue(self, jobs: Sequence[NewJob], *, connection: Connection | None = None) -> list[Enqueued]:
        """Write jobs, all or none; the answers are in the order of the requests.

        With `connection` they belong to the caller's transaction: nothing is committed here, and after
        KeyBusy (a rival holds the key in a transaction that is open, or invisible) it must be rolled back.
        Without, one transaction of our own. A known key or id gives the first job and `created=False`, so a
        repetition is harmless; `conflict` tells of unique keys. Raises InvalidArguments for what no row can
        hold, on SQLite for more than 50,000 at once; QueueFull and NotUnique, and has written nothing.
        """
        return self._enqueueing.enqueue(jobs, connection=connection)

    def adopt(self, job: NewJob, payload_digest: str) -> Adoption:
        """Turn a foreign message into a job, once in two weeks; `Adoption` says what the answers mean."""
        return self._enqueueing.adopt(job, payload_digest)

    def refuse(self, job: NewJob, reason: QuarantineReason, detail: str, payload_digest: str) -> Adoption:
        """Write a foreign message that may not run as a quarantined job: its id answers as a failure."""
        return self._enqueueing.refuse(job, reason, detail, payload_digest)

    # Workers

    def register_worker(self, worker: NewWorker, offers: Sequence[Offer]) -> None:
        """Write a worker's row and what it can run, before its first claim. Repeating it changes nothing."""
        self._roster.register_worker(worker, offers)

    def live_twins(self, name: str, except_id: WorkerId) -> list[WorkerRow]:
        """Return the other living workers of the same name: a reason not to start (B5)."""
        return self._roster.live_twins(name, except_id)

    def beat(self, worker_id: WorkerId) -> bool:
        """Count one beat. False: declared dead, which is never undone; stop everything (B3)."""
        return self._roster.beat(worker_id)

    def retire_worker(self, worker_id: WorkerId) -> bool:
        """Leave cleanly; what the worker still holds is rescued. False if it was dead."""
        return self._roster.end(worker_id, None)

    def declare_dead(self, worker_id: WorkerId, beat_seq: int) -> bool:
        """End a worker whose beats stopped at `beat_seq`. False if it has beaten since, or was dead."""
        return self._roster.end(worker_id, beat_seq)

    def workers(self, *, alive_only: bool = True) -> list[WorkerRow]:
        """Return the workers, oldest first."""
        return self._roster.workers(alive_only=alive_only)

    def offers(self) -> list[OfferRow]:
        """Return what living workers can run."""
        return self._roster.offers()

    def lead(self, role: str, worker_id: WorkerId, *, seconds: float) -> bool:
        """Take or keep a role for a time. A convenience against double work, never a guard."""
        return self._roster.lead(role, worker_id, seconds=seconds)

    # Claims and ends

    def claim(
        self,
        worker_id: WorkerId,
        requests: Sequence[ClaimRequest],
        *,
        queues: Sequence[str],
        default_attempt_seconds: float,
        hard_limits: Mapping[str, float],
        without: Without = NO_EXCEPTION,
        apart: Apart | None = None,
        concurrency: Mapping[str, ConcurrencyLimit] = NO_LIMITS,
        rota: Rota | None = None,
    ) -> list[Claim]:
        """Grant what can be granted, in one transaction. Raises LeaseLost if the worker is dead.

        `queues`, `without`, `rota` (whose turn it is) are for wishes for any job, `apart` for isolated ones;
        `hard_limits` are seconds by task, if a job has none. Repeated with the same tokens: what they got.
        """
        return self._claiming.claim(
            worker_id,
            requests,
            queues=queues,
            default_attempt_seconds=default_attempt_seconds,
            hard_limits=hard_limits,
            without=without,
            apart=apart,
            concurrency=concurrency,
            rota=rota,
        )

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write outcomes, each only if its lease is still ours; answers in the same order.

        A lost lease changes nothing: its answer has no state, and the outcome is kept on the attempt as
        `late`. A repetition gets the first answer. What the database refuses is quarantined(invalid_result).
        """
        return self._settling.settle(settlements)

    def settle_in(self, connection: Connection, settlement: Settlement) -> Settled:
        """Write one outcome as the last statement of the caller's transaction (B30). Commits nothing."""
        return self._settling.settle_in(connection, settlement)

    def check_lease_in(self, connection: Connection, lease: Lease) -> None:
        """Raise LeaseLost unless the job is ours; if it is, it stays so until the transaction ends."""
        self._settling.check_lease_in(connection, lease)

    def hand_back(self, leases: Sequence[Lease], why: str) -> list[Settled]:
        """Give running jobs back unfinished, with their attempts; only after the handler has ended (B17)."""
        return self._settling.hand_back(leases, why)

    def held(self, worker_id: WorkerId) -> list[Held]:
        """Return the running jobs that the ledger counts as a worker's (B1)."""
        return self._settling.held(worker_id)

    def left_behind(self, worker_id: WorkerId) -> list[LeftBehind]:
        """Return what a dead worker ran, for those who ask why it died (B11)."""
        return self._settling.left_behind(worker_id)

    def prolong(self, leases: Sequence[Lease], seconds: float) -> None:
        """Move the ends of attempts to `seconds` from now, where they are earlier and still ours (B17)."""
        self._settling.prolong(leases, seconds)

    def owns(self, leases: Sequence[Lease]) -> list[bool]:
        """Tell for each lease whether it still holds."""
        return self._settling.owns(leases)

    def progress(self, lease: Lease, progress: Progress) -> bool:
        """Say how far a job is. False: the lease is lost. Raises InvalidJson for what is no JSON."""
        return self._settling.progress(lease, progress)

    # Maintenance

    def stage(self, limit: int) -> int:
        """Make due jobs available, earliest first; returns how many."""
        return self._maintenance.stage(limit)

    def next_due(self) -> float | None:
        """Return in how many seconds the next scheduled job is due by the database's clock, if one is."""
        return self._maintenance.next_due()

    def due_rings(self, *, limit: int, epoch: str | None) -> list[Ring]:
        """Return the rings that are due and set the next ones later; `Maintenance` says when."""
        return self._maintenance.due_rings(limit=limit, epoch=epoch)

    def ring_soon(self, job_ids: Sequence[JobId], *, not_by: WorkerId | None = None) -> None:
        """Make available jobs' rings due now; `not_by`: only what it does not offer, in 1 s, doubling."""
        self._maintenance.ring_soon(job_ids, not_by=not_by)

    def rescue(self, limit: int) -> list[Leftover]:
        """Take back what dead or missing workers hold, and attempts past their end; `why` says which."""
        return self._maintenance.rescue(limit)

    def expire(self, limit: int) -> list[Leftover]:
        """Quarantine waiting jobs past their deadline or total age."""
        return self._maintenance.expire(limit)

    def parked_groups(self) -> list[ParkedGroup]:
        """Count the jobs that wait for upstreams, by upstream, priority and tenant."""
        return self._parking.groups()

    def release(
        self, waiting_for: str, priority: int, tenant: str | None, tickets: Sequence[str | None]
    ) -> list[Released]:
        """Let the oldest of a group go on, one for each ticket; after LedgerUnavailable take new tickets."""
        return self._parking.release(waiting_for, priority, tenant, tickets)

    def without_offer(
        self, *, quarantine_after_seconds: float, limit: int
    ) -> tuple[list[Leftover], list[Leftover]]:
        """Return the jobs newly marked as offered by no living worker, and those now quarantined for it."""
        return self._maintenance.without_offer(quarantine_after_seconds=quarantine_after_seconds, limit=limit)

    def prune(self, *, completed_seconds: float, quarantined_seconds: float, limit: int) -> int:
        """Delete final jobs older than their retention (cancelled as completed); returns how many."""
        return self.retention.prune(RetentionPolicy.plain(completed_seconds, quarantined_seconds), limit)

    def epoch(self) -> str:
        """Return the broker epoch that the ledger believes in."""
        return self._identity.fact("epoch")

    def new_epoch(self, seen: str) -> str:
        """Start a new epoch if `seen` is the present one, at most once a minute; returns the present one."""
        return self._identity.new_epoch(seen)

    # Steering

    def cancel(self, job_id: JobId, reason: str = "") -> CancelAnswer:
        """Cancel a waiting job, or ask a running one to stop. Raises JobNotFound."""
        return self._steering.cancel(job_id, reason)

    def requeue(self, job_id: JobId) -> Job:
        """Open a quarantined job's next generation, with a new total age and no deadline.

        Raises JobNotFound, IllegalTransition (not quarantined, or a refused message), or NotUnique.
        """
        return self._steering.requeue(job_id)

    def wake(self, job_id: JobId) -> bool:
        """Wake a job: a parked one becomes available, one about to park will not. True if it was parked."""
        return self._steering.wake(job_id)

    def pause_queue(self, queue: str, reason: str = "") -> bool:
        """Grant no claims on a queue until it is resumed; running jobs go on. False if it was paused."""
        return self._steering.pause_queue(queue, reason)

    def resume_queue(self, queue: str) -> bool:
        """Grant claims on a queue again, and ring for what waits there. False if it was not paused."""
        return self._steering.resume_queue(queue)

    def paused_queues(self) -> list[PausedQueue]:
        """Return the paused queues, by name."""
        return self._steering.paused_queues()

    # Reading

    def job(self, job_id: JobId) -> Job:
        """Return a job; raises JobNotFound."""
        return self._reading.job(job_id)

    def find(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Return those of the jobs that exist."""
        return self._reading.find(job_ids)

    def attempts(self, job_id: JobId) -> list[Attempt]:
        """Return a job's attempts, oldest first."""
        return self._reading.attempts(job_id)

    def history(self, job_id: JobId, after: int = 0) -> list[JobMoment]:
        """Return what happened to a job after the moment numbered `after`."""
        return self._reading.history(job_id, after)

    def counts(self) -> list[QueueCount]:
        """Return how many jobs are in each state, by queue."""
        return self._reading.counts()

    def list_jobs(
        self, *, states: Sequence[JobState] = (), tasks: Sequence[str] = (), limit: int = DEFAULT_LIST
    ) -> list[Job]:
        """Return jobs, newest first; empty filters let all through. Unreadable rows are left out, logged."""
        return self._reading.list_jobs(states=states, tasks=tasks, limit=limit)

    def tombstone(self, job_id: JobId) -> bool:
        """Tell whether a job was here and is pruned."""
        return self._reading.tombstone(job_id)

    # Handlers' own transactions

    def session(self, before_commit: Guard = bool, *, keeps: bool = True) -> AbstractContextManager[Session]:
        """Open a session on the ledger's database, from a pool of its own; without `keeps` it is undone."""
        return self._sessions.session(before_commit, keeps=keeps)

    def async_session(
        self, before_commit: Guard = bool, *, keeps: bool = True
    ) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session on the running event loop; end its pool with `close_async`."""
        return self._sessions.async_session(before_commit, keeps=keeps)
