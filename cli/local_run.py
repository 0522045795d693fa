"""Run a job's handler once more, in this process, for whoever looks for a fault.

It is fenced twice: the context writes nothing to the ledger, and its lease has
a token that no ledger ever gave. What the handler does without its context (an
HTTP call, a file) is done for real.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from holdfast.jobs.children import ChildEnd, Plan
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.ids import JobId, WorkerId, new_lease_token
from holdfast.jobs.job import Claim, Enqueued, Job, NewJob, Progress, Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.ledger.children import Children
from holdfast.ledger.steering import CancelAnswer
from holdfast.resilience.errand import Errand, errand
from holdfast.tasks import ambient
from holdfast.tasks.client import Client
from holdfast.tasks.context import TaskContext
from holdfast.tasks.doorbell import SilentBell
from holdfast.tasks.options import Options
from holdfast.tasks.outbox import AsyncSession, Connection, Session
from holdfast.tasks.registry import Registry
from holdfast.tasks.spec import TaskSpec
from holdfast.workers.limits import Limits

HERE: Final = WorkerId("local")
Tell = Callable[[str], object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a handler ended here."""

    result: str | None = None
    """JSON, as it would be written; None if it raised."""
    error: BaseException | None = None


class LocalChildren(Children):
    """What a handler's children come to in such a run: none is started, those that are there are read."""

    def __init__(self, real: Children, tell: Tell) -> None:  # it writes nothing, so it needs nothing else
        """Read through the real one."""
        self._real = real
        self._tell = tell

    def plan(self, plan: Plan) -> bool:
        """Tell it; the wait is over if all that would be waited for is there and has ended."""
        there = self._real.ends(plan.parent.job_id, plan.groups)
        if len(there) < len(plan.jobs):
            self._tell(f"would start {len(plan.jobs) - len(there)} children for {plan.name}")
        return len(there) >= max(1, len(plan.jobs)) and all(child.state.is_final for child in there)

    def ends(self, parent_id: JobId, groups: Iterable[str]) -> list[ChildEnd]:
        """Read them."""
        return self._real.ends(parent_id, groups)

    def cancel(self, parent: Lease, groups: Sequence[str], why: str) -> int:
        """Tell it."""
        del parent, why
        self._tell(f"would cancel the open children of {', '.join(groups)}")
        return 0


class LocalPort:
    """What the context of such a run leads to: tells what would be written, and undoes every transaction."""

    def __init__(self, ledger: Ledger, tell: Tell) -> None:
        """Read from this ledger."""
        self._ledger = ledger
        self._tell = tell

    async def progress(self, lease: Lease, progress: Progress) -> None:
        """Tell it."""
        self.progress_sync(lease, progress)

    def progress_sync(self, lease: Lease, progress: Progress) -> None:
        """Tell it."""
        del lease
        total = f" of {progress.total:g}" if progress.total is not None else ""
        self._tell(f"progress: {progress.done:g}{total} {progress.text}".rstrip())

    async def on_children(self, verb: Callable[[Children], T]) -> T:
        """Run verbs that start nobody."""
        return self.on_children_sync(verb)

    def on_children_sync(self, verb: Callable[[Children], T]) -> T:
        """Run verbs that start nobody."""
        return verb(LocalChildren(self._ledger.children, self._tell))

    def session(self, before_commit: Callable[[], object]) -> AbstractContextManager[Session]:
        """Open a session on the ledger's database that is undone at its end."""
        self._tell("a transaction: it is undone at its end")
        return self._ledger.session(before_commit, keeps=False)

    def async_session(self, before_commit: Callable[[], object]) -> AbstractAsyncContextManager[AsyncSession]:
        """Open an async session likewise."""
        self._tell("a transaction: it is undone at its end")
        return self._ledger.async_session(before_commit, keeps=False)

    def check_lease_in(self, connection: Connection, lease: Lease) -> None:
        """Find the lease good: what it guards is undone."""

    def settle_in(self, connection: Connection, settlement: Settlement) -> Settled:
        """Write nothing, and say that it is completed."""
        del connection
        return Settled(settlement.lease, JobState.COMPLETED)

    def mark_settled(self, lease: Lease, settled: Settled) -> None:
        """Tell it."""
        del lease, settled
        self._tell("the job would be completed with that transaction")


class LocalClient(Client):
    """Checks what a handler enqueues or cancels, tells it, and writes nothing."""

    def __init__(self, ledger: Ledger, registry: Registry, tell: Tell) -> None:
        """Read from this ledger."""
        super().__init__(ledger, SilentBell(), registry=registry)
        self._tell = tell

    def cancel_sync(self, job_id: str, reason: str = "") -> CancelAnswer:
        """Tell it."""
        del reason
        self._tell(f"would cancel {job_id}")
        return "requested"

    async def _write(self, jobs: Sequence[NewJob], options: Options) -> list[Enqueued]:
        return self._write_sync(jobs, options)

    def _write_sync(self, jobs: Sequence[NewJob], options: Options) -> list[Enqueued]:
        del options
        for job in jobs:
            self._tell(f"would enqueue {job.task} as {job.id}")
        return [Enqueued(job.id, created=True, state=JobState.AVAILABLE) for job in jobs]


def run_locally(ledger: Ledger, registry: Registry, job: Job, *, limits: Limits, tell: Tell) -> Ended:
    """Run the handler of a job to its end; time limits are told to it, and not enforced.

    Raises UnknownTask, or InvalidArguments where the arguments do not fit the handler as it is here.
    """
    spec = registry.require(job.task).spec
    arguments = spec.load(job.version, job.arguments)
    port = LocalPort(ledger, tell)
    lease = Lease(job.id, new_lease_token(), HERE, job.fence, max(1, job.attempt))
    context = TaskContext.of(
        Claim(lease, job),
        spec,
        port,
        clock=SystemClock(),
        hard_timeout_seconds=limits.hard(job, spec),
        result_largest_bytes=limits.result_largest_bytes,
    )
    call = partial(spec.handler, *([context] if spec.takes_context else []), **arguments)
    client = LocalClient(ledger, registry, tell)
    try:
        with ambient.use(client), errand(Errand(tenant=job.tenant or "")):
            return _called(spec, call, ledger, limits)
    finally:
        client.close()


def _called(spec: TaskSpec, call: Callable[[], Any], ledger: Ledger, limits: Limits) -> Ended:
    async def on_a_loop() -> Any:  # noqa: ANN401 -- what the handler returns
        try:
            return await call()
        finally:
            await ledger.close_async()

    try:
        value = asyncio.run(on_a_loop()) if spec.is_async else call()
        return Ended(result=spec.result.encode(value, largest_bytes=limits.result_largest_bytes))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- a worker judges whatever a handler raises, sys.exit() too
        return Ended(error=error)
