"""The worker's ways to the ledger, each of which its life can end on: before a commit, or right after it."""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Apart, Claim, ClaimRequest, Progress, Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.ledger import Ledger
from holdfast.ledger.children import Children
from holdfast.tasks.outbox import AsyncSession, Session
from holdfast.testing.life import Life
from holdfast.workers.port import Find, WorkerPort
from holdfast.workers.writer import ClaimTerms, LedgerWriter

T = TypeVar("T")


class MortalWriter(LedgerWriter):
    """The production writer; in a dead worker nothing that was asked of it is ever answered."""

    def __init__(self, ledger: Ledger, life: Life, *, on_unavailable: Callable[[Exception], None]) -> None:
        """Write for a worker with this life."""
        super().__init__(ledger, on_unavailable=on_unavailable)
        self._life = life

    async def claim(self, requests: Sequence[ClaimRequest], terms: ClaimTerms) -> list[Claim]:
        """Claim jobs."""
        await self._life.at("before_claim")
        claims = await super().claim(requests, terms)
        # Nothing of a test is worth a process of its own: isolated tasks run here, beside the others.
        granted = {claim.lease.token for claim in claims}
        if isolated := [request for request in requests if request.token not in granted]:
            claims += await super().claim(isolated, replace(terms, apart=Apart()))
        await self._life.survived()
        return claims

    async def settle(self, settlement: Settlement) -> Settled:
        """Write the end of an attempt."""
        await self._life.at("before_settle")
        settled = await super().settle(settlement)
        await self._life.at("after_settle")
        return settled

    async def hand_back(self, lease: Lease, why: str) -> Settled:
        """Give a job back unfinished."""
        await self._life.survived()
        return await super().hand_back(lease, why)

    async def call(self, verb: Callable[[Ledger], T]) -> T:
        """Run any other verb."""
        await self._life.survived()
        return await super().call(verb)


class MortalPort(WorkerPort):
    """What a handler's context writes through."""

    def __init__(
        self,
        ledger: Ledger,
        writer: LedgerWriter,
        life: Life,
        *,
        find: Find,
        on_progress: Callable[[JobId, Progress], object],
    ) -> None:
        """Write for a worker with this life; `on_progress` hears of each report."""
        super().__init__(ledger, writer, find=find)
        self._life = life
        self._on_progress = on_progress

    async def progress(self, lease: Lease, progress: Progress) -> None:
        """Write a report of progress."""
        await self._life.at("before_progress")
        await super().progress(lease, progress)
        self._on_progress(lease.job_id, progress)
        await self._life.at("after_progress")

    def progress_sync(self, lease: Lease, progress: Progress) -> None:
        """Do the same for a handler on a thread."""
        self._life.at_sync("before_progress")
        super().progress_sync(lease, progress)
        self._on_progress(lease.job_id, progress)
        self._life.at_sync("after_progress")

    async def on_children(self, verb: Callable[[Children], T]) -> T:
        """Run verbs about children."""
        await self._life.at("before_plan")
        try:
            return await super().on_children(verb)
        finally:
            await self._life.at("after_plan")

    def on_children_sync(self, verb: Callable[[Children], T]) -> T:
        """Do the same for a handler on a thread."""
        self._life.at_sync("before_plan")
        try:
            return super().on_children_sync(verb)
        finally:
            self._life.at_sync("after_plan")

    @contextmanager
    def session(self, before_commit: Callable[[], object]) -> Generator[Session]:
        """Open a session."""
        with self._counted(), super().session(self._mortal(before_commit)) as session:
            yield session
        self._life.at_sync("after_commit")

    @asynccontextmanager
    async def async_session(self, before_commit: Callable[[], object]) -> AsyncGenerator[AsyncSession]:
        """Open an async session."""
        await self._life.survived()
        with self._counted():
            async with super().async_session(self._mortal(before_commit)) as session:
                yield session
        await self._life.at("after_commit")

    @contextmanager
    def _counted(self) -> Generator[None]:
        self._life.transactions += 1
        try:
            yield
        finally:
            self._life.transactions -= 1

    def _mortal(self, before_commit: Callable[[], object]) -> Callable[[], None]:
        def ask() -> None:
            before_commit()
            self._life.at_sync("before_commit")

        return ask
