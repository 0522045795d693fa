"""What a handler's context needs of the worker around it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from threading import Event
from time import monotonic
from typing import Final, Protocol, TypeVar

from holdfast.jobs.errors import LeaseLost, LedgerUnavailable
from holdfast.jobs.job import Progress, Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.ledger import Ledger
from holdfast.ledger.children import Children
from holdfast.tasks.outbox import AsyncSession, Connection, Session
from holdfast.tasks.waiting import pauses
from holdfast.workers.attempt import RunningAttempt
from holdfast.workers.threads import DaemonThreads

T = TypeVar("T")
_THREADS: Final = 4
_LONGEST_OUTAGE_SECONDS: Final = 600.0
"""A thread waits no longer for the ledger: nobody can tell it that its lease is lost."""


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
        self._threads = DaemonThreads(_THREADS, name="holdfast-children")

    async def on_children(self, verb: Callable[[Children], T]) -> T:
        """Run verbs about children on a thread: a plan may take seconds. Waits through an outage (B7)."""
        waits = pauses()
        while True:
            try:
                return await asyncio.wrap_future(self._threads.submit(lambda: verb(self._ledger.children)))
            except LedgerUnavailable:
                # Who loses its lease meanwhile is cancelled here.
                await asyncio.sleep(next(waits))

    def on_children_sync(self, verb: Callable[[Children], T]) -> T:
        """Do the same for a handler on a thread, for ten minutes at most."""
        ends_at, waits = monotonic() + _LONGEST_OUTAGE_SECONDS, pauses()
        while True:
            try:
                return verb(self._ledger.children)
            except LedgerUnavailable:
                if monotonic() >= ends_at:
                    raise
                Event().wait(next(waits))

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
