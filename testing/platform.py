"""A platform for one test: ledger, client, clock and worker in the test's own process."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Any, Final, ParamSpec, Self, TypeVar, overload

from holdfast.jobs.events import Event, Events, JobClaimed
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import DEFAULT_ATTEMPT_SECONDS, Job, Progress
from holdfast.ledger import Ledger
from holdfast.tasks import ambient
from holdfast.tasks.bound import BoundTask
from holdfast.tasks.chain_task import chain
from holdfast.tasks.client import Client
from holdfast.tasks.handle import Handle
from holdfast.tasks.outbox import Session
from holdfast.tasks.registry import Registry
from holdfast.tasks.registry import registry as process_registry
from holdfast.tasks.spec import TaskSpec
from holdfast.testing.blocking import wait_for
from holdfast.testing.client import NoBell, WatchedClient
from holdfast.testing.clock import FakeClock
from holdfast.testing.crash import CrashAt, CrashPlan
from holdfast.testing.database import database
from holdfast.testing.enqueued import EnqueuedJob
from holdfast.testing.older import of_version
from holdfast.testing.outcome import JobOutcome
from holdfast.testing.shift import MOST_JOBS, Shift, Wanted
from holdfast.testing.worker import Surroundings
from holdfast.workers.limits import Limits

P = ParamSpec("P")
R = TypeVar("R")
Crashes = CrashAt | Sequence[CrashAt] | None
T = TypeVar("T")
DEFAULT_LEASE_SECONDS: Final = 20.0
_SERVE_SECONDS: Final = 0.02


class Platform:
    """Inside its `with` block the code under test enqueues as ever, and nothing runs until the test says so.

    A task is run by the production gate, executor, retry decision and ledger
    statements; what is left out is the broker, Celery, and real time.
    """

    def __init__(
        self,
        *,
        registry: Registry = process_registry,
        slots: int = 1,
        starts_at: datetime | None = None,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        soft_timeout_seconds: float | None = None,
        hard_timeout_seconds: float = DEFAULT_ATTEMPT_SECONDS,
    ) -> None:
        """Prepare; nothing is made before the block begins.

        `slots` is how many jobs run at once: with one they run in the order of
        priority, due time and id. The time limits are for tasks without their own, in real seconds.
        """
        self.clock: Final = FakeClock(starts_at)
        self.events: Final[list[Event]] = []
        """Everything that was told, as logs and metrics hear it."""
        self.ledger: Ledger
        """The real ledger, with all its verbs."""
        self.client: Client
        """What the code under test enqueues with; it is the connected one inside the block."""
        self.database_url: str
        """The address of the ledger's SQLite file, for your own SQLAlchemy engine."""
        self._registry = registry
        self._slots = slots
        self._lease_seconds = lease_seconds
        self._limits = Limits(soft_timeout_seconds, hard_timeout_seconds)
        self._own: dict[str, TaskSpec] = {chain.name: chain.spec}
        self._parents: dict[JobId, JobId] = {}
        self._first_rows: dict[JobId, Job] = {}
        self._errors: dict[JobId, BaseException] = {}
        self._progress: defaultdict[JobId, list[Progress]] = defaultdict(list)
        self._shift: Shift | None = None
        self._block = ExitStack()

    def __enter__(self) -> Self:
        """Make the ledger, and be connected."""
        with ExitStack() as stack:
            lent = stack.enter_context(database(self.clock))
            self.ledger, self.database_url = lent.ledger, lent.url
            self.client = WatchedClient(
                self.ledger,
                NoBell(),
                events=Events(self._hear),
                registry=self._registry,
                on_child=self._parents.__setitem__,
            )
            stack.callback(self.client.close)
            stack.enter_context(ambient.use(self.client))
            self._block = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Be gone; what was connected before is again."""
        self._block.close()

    # Time

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Let time pass, without running anything: delays, retries, snoozes and deadlines go by it."""
        self.clock.advance(seconds)

    # What was asked for

    def enqueued(self, task: BoundTask[..., Any] | str | None = None) -> list[EnqueuedJob]:
        """Return what was enqueued so far, oldest first, whether or not it has run; of one task or of all."""
        rows = reversed(self.ledger.list_jobs(limit=MOST_JOBS))
        return [self._as_enqueued(row) for row in rows if task is None or row.task == _name(task)]

    def assert_enqueued(
        self,
        task: BoundTask[..., Any] | str,
        arguments: Mapping[str, object] | None = None,
        *,
        times: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
        delay_seconds: float | None = None,
        key: str | None = None,
        tenant: str | None = None,
    ) -> EnqueuedJob:
        """Fail unless a job of this task was enqueued with at least these arguments, and return the first.

        Whether it has run since does not matter. What is None is not compared;
        `times` is how many such jobs there must be, not more and not fewer.
        """
        __tracebackhide__ = True
        expected = _given(queue=queue, priority=priority, delay_seconds=delay_seconds, key=key, tenant=tenant)
        everything = self.enqueued()
        found = [job for job in everything if job.fits(_name(task), arguments, expected)]
        if found and times in {None, len(found)}:
            return found[0]
        count = "" if times is None else f" {times} times, but {len(found)} times"
        wanted = {**(arguments or {}), **expected}
        raise AssertionError(
            f"{_name(task)} with {wanted} was not enqueued{count}; enqueued:{_list(everything)}"
        )

    def assert_not_enqueued(
        self,
        task: BoundTask[..., Any] | str,
        arguments: Mapping[str, object] | None = None,
        *,
        queue: str | None = None,
    ) -> None:
        """Fail if a job of this task was enqueued with these arguments, on this queue."""
        __tracebackhide__ = True
        expected = _given(queue=queue)
        found = [job for job in self.enqueued() if job.fits(_name(task), arguments, expected)]
        if found:
            raise AssertionError(f"enqueued, and should not be:{_list(found)}")

    # Running

    async def run_available(
        self, *, queue: str | None = None, crash_at: Crashes = None
    ) -> list[JobOutcome[Any]]:
        """Run what is due now, what that enqueues too, until nothing is due; the clock stands still.

        Returns what was run, in the order of the first attempts. With
        `crash_at` the worker dies there, a lease passes on the clock, and
        another worker goes on; raises AssertionError if it never comes there.
        """
        return await self._outcomes(Wanted(queue=queue), crash_at)

    async def drain(self, *, queue: str | None = None, crash_at: Crashes = None) -> list[JobOutcome[Any]]:
        """Do the same, and move the clock to whatever is due next, until nothing waits for time any more."""
        return await self._outcomes(Wanted(queue=queue, skips_waits=True), crash_at)

    async def serve(self, work: Awaitable[T]) -> T:
        """Await this, and run meanwhile what becomes due: for code that waits for the results of its jobs."""
        waiting = asyncio.ensure_future(work)
        try:
            while not waiting.done():
                await self.run_available()
                await asyncio.wait({waiting}, timeout=_SERVE_SECONDS)
        finally:
            waiting.cancel()
        return await waiting

    def run_available_sync(
        self, *, queue: str | None = None, crash_at: Crashes = None
    ) -> list[JobOutcome[Any]]:
        """Do the same as `run_available` in synchronous code."""
        return wait_for(lambda: self.run_available(queue=queue, crash_at=crash_at))

    def drain_sync(self, *, queue: str | None = None, crash_at: Crashes = None) -> list[JobOutcome[Any]]:
        """Do the same as `drain` in synchronous code."""
        return wait_for(lambda: self.drain(queue=queue, crash_at=crash_at))

    @overload
    async def run_task(
        self, task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> JobOutcome[R]: ...
    @overload
    async def run_task(
        self, task: BoundTask[..., R], /, *args: Any, crash_at: Crashes, **kwargs: Any
    ) -> JobOutcome[R]: ...
    @overload
    async def run_task(
        self,
        task: BoundTask[..., R],
        /,
        *args: Any,
        crash_at: Crashes = ...,
        written_as: str,
        **kwargs: Any,
    ) -> JobOutcome[R]: ...
    async def run_task(
        self,
        task: Any,
        /,
        *args: Any,
        crash_at: Any = None,
        written_as: Any = None,
        **kwargs: Any,
    ) -> JobOutcome[Any]:
        """Enqueue one job of this task and run it to its end, its retries and snoozes without waiting.

        `written_as` is an older version of the task: the arguments, all by name, are written as a producer
        of that version wrote them, unchecked, and the task's upcasts have to make them fit.

        Runs its children too, and no other job, not those that it enqueues either. Ends early where
        only somebody else can go on: parked, or in a paused queue. Raises
        InvalidArguments, as `enqueue` does; what the handler raises is in the outcome.
        """
        bound: BoundTask[..., Any] = task
        self._own[bound.spec.name] = bound.spec
        if written_as is None:
            handle = await bound.using(self.client).enqueue(*args, **kwargs)
        else:
            older, text = of_version(bound.spec, written_as, args, kwargs)
            (handle,) = await self.client.submit(older, [text], bound.given)
        await self._work(Wanted(job_id=handle.id, skips_waits=True), crash_at, self._all_specs())
        return self.outcome(handle)

    @overload
    def run_task_sync(self, task: BoundTask[P, R], /, *args: P.args, **kwargs: P.kwargs) -> JobOutcome[R]: ...
    @overload
    def run_task_sync(
        self, task: BoundTask[..., R], /, *args: Any, crash_at: Crashes, **kwargs: Any
    ) -> JobOutcome[R]: ...
    @overload
    def run_task_sync(
        self,
        task: BoundTask[..., R],
        /,
        *args: Any,
        crash_at: Crashes = ...,
        written_as: str,
        **kwargs: Any,
    ) -> JobOutcome[R]: ...
    def run_task_sync(
        self,
        task: Any,
        /,
        *args: Any,
        crash_at: Any = None,
        written_as: Any = None,
        **kwargs: Any,
    ) -> JobOutcome[Any]:
        """Do the same as `run_task` in synchronous code."""
        return wait_for(
            lambda: self.run_task(task, *args, crash_at=crash_at, written_as=written_as, **kwargs)
        )

    def outcome(self, job: Handle[R] | str) -> JobOutcome[R]:
        """Return what has become of a job so far. Raises JobNotFound."""
        job_id = JobId(job if isinstance(job, str) else job.id)
        row = self.ledger.job(job_id)
        spec = self._specs().get(row.task)
        plan = self._shift.plan if self._shift is not None else None
        children = [JobId(child) for child, parent in self._parents.items() if parent == job_id]
        found = self.ledger.find(children) if children else {}
        return JobOutcome(
            job=row,
            attempts=tuple(self.ledger.attempts(job_id)),
            history=tuple(self.ledger.history(job_id)),
            progress=tuple(self._progress[job_id]),
            events=tuple(event for event in self.events if getattr(event, "job_id", None) == job_id),
            enqueued=tuple(self._as_enqueued(found[child]) for child in children if child in found),
            error=self._errors.get(job_id),
            passed=tuple(plan.passed) if plan is not None else (),
            crashed_at=tuple(plan.struck) if plan is not None else (),
            codec=spec.result if spec is not None else None,
        )

    # The test's own data

    def session(self) -> AbstractContextManager[Session]:
        """Open a SQLAlchemy session on the ledger's database: make tables, look at what a handler wrote.

        Commits nothing by itself. What was made there is gone at the end of the block.
        """
        return self.ledger.session()

    async def _outcomes(self, wanted: Wanted, crash_at: Crashes) -> list[JobOutcome[Any]]:
        ran = await self._work(wanted, crash_at, self._all_specs())
        return [self.outcome(job_id) for job_id in ran]

    async def _work(self, wanted: Wanted, crash_at: Crashes, specs: Sequence[TaskSpec]) -> list[JobId]:
        if self._shift is not None and self._shift.is_open:
            raise RuntimeError("this platform runs jobs already; await that first, or use more slots")
        shift = self._shift = Shift(
            around=self._surroundings(),
            clock=self.clock,
            specs=specs,
            plan=CrashPlan.of(crash_at),
            wanted=wanted,
            lease_seconds=self._lease_seconds,
            first_rows=self._first_rows,
        )
        await shift.work()
        return list(shift.ran)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            ledger=self.ledger,
            clock=self.clock,
            events=Events(self._hear),
            slots=self._slots,
            limits=self._limits,
            on_error=self._errors.__setitem__,
            on_progress=lambda job_id, progress: self._progress[job_id].append(progress),
        )

    def _specs(self) -> dict[str, TaskSpec]:
        return {**{task.name: task.spec for task in self._registry}, **self._own}

    def _all_specs(self) -> tuple[TaskSpec, ...]:
        return tuple(self._specs().values())

    def _as_enqueued(self, row: Job) -> EnqueuedJob:
        return EnqueuedJob.of(
            self._first_rows.get(row.id, row), enqueued_by=self._parents.get(row.id, row.parent_id)
        )

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, JobClaimed) and self._shift is not None:
            self._shift.ran[JobId(event.job_id)] += 1


def _name(task: BoundTask[..., Any] | str) -> str:
    return task if isinstance(task, str) else task.spec.name


def _given(**expected: object) -> dict[str, object]:
    return {name: value for name, value in expected.items() if value is not None}


def _list(jobs: Sequence[EnqueuedJob]) -> str:
    return "".join(f"\n  {job}" for job in jobs) or " nothing"
