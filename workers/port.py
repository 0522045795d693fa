"""What a handler's context needs of the worker around it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol, TypeVar

from holdfast.jobs.errors import LeaseLost, LedgerUnavailable
from holdfast.jobs.job import Progress, Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.ledger import Ledger
from holdfast.tasks.outbox import AsyncSession, Connection, Session
from holdfast.workers.attempt import RunningAttempt

T = TypeVar("T")


class Calls(Protocol):
    """Runs a verb of the ledger away from the event loop."""

    async def call(self, verb: Callable[[Ledger], T]) -> T:
        """Run it; raises what it raises."""
        ...


Find = Callable[[Lease], RunningAttempt | None]


class WorkerPort:
    """Implements `tasks.context.ContextPort` over the worker's ledger and writer."""

    def __init__(self, ledger: Ledger, writer: Calls, *, find: Find) -> None:
        """Write through these; `find` returns the attempt that runs under a lease, if it still does."""
        self._ledger = ledger
        self._writer = writer
        self._find = find

    async def progress(self, lease: Lease, progress: Progress) -> None:
        """Write a report of progress, together with whatever else is waiting. Raises LeaseLost.

        In an outage of the ledger the report is dropped: it is news, and no reason to fail (B7).
        """
        try:
            is_ours = await self._writer.call(lambda ledger: ledger.progress(lease, progress))
        except LedgerUnavailable:
            return
        if not is_ours:
            raise LeaseLost(job_id=lease.job_id)

    def progress_sync(self, lease: Lease, progress: Progress) -> None:
        """Do the same for a handler on a thread."""
        try:
            is_ours = self._ledger.progress(lease, progress)
        except LedgerUnavailable:
            return
        if not is_ours:
            raise LeaseLost(job_id=lease.job_id)

    def session(self, before_commit: Callable[[], object]) -> AbstractContextManager[Session]:
        """Open a session on the ledger's database."""
        return self._ledger.session(before_commit)

    def async_session(self, before_commit: Callable[[], object]) -> AbstractAsyncContextManager[AsyncSession]:
        """Open an async session on the ledger's database."""
        return self._ledger.async_session(before_commit)

    def check_lease_in(self, connection: Connection, lease: Lease) -> None:
        """Touch the job's row under its lease. Raises LeaseLost."""
        self._ledger.check_lease_in(connection, lease)

    def settle_in(self, connection: Connection, settlement: Settlement) -> Settled:
        """Write the end of the attempt inside a transaction."""
        if (attempt := self._find(settlement.lease)) is not None:
            attempt.is_completing = True
        return self._ledger.settle_in(connection, settlement)

    def mark_settled(self, lease: Lease, settled: Settled) -> None:
        """Take note that there is nothing left to write."""
        if (attempt := self._find(lease)) is not None:
            attempt.settled = settled
