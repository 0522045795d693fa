"""Rings that this worker cannot use, though jobs may wait behind them: the ledger is told to ring again."""

import contextlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from holdfast.jobs.errors import LedgerError
from holdfast.jobs.ids import JobId, WorkerId
from holdfast.workers.tickets import RingTicket, WaitingRings
from holdfast.workers.writer import LedgerWriter

_MOST_AT_ONCE: Final = 1000

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class UnwantedRings:
    """What becomes of rings that are not answered by a claim. On the event loop."""

    def __init__(
        self, writer: LedgerWriter, waiting: WaitingRings, worker_id: Callable[[], WorkerId], spawn: Spawn
    ) -> None:
        """Tell the ledger through `writer`; rings that it could not be told of go back to `waiting`."""
        self._writer = writer
        self._waiting = waiting
        self._worker_id = worker_id
        self._spawn = spawn
        self._refused: set[JobId] = set()
        self._is_telling = False

    def give_up(self, stale: Sequence[RingTicket]) -> None:
        """Let rings go that waited here for too long, as soon as the ledger knows it (B29)."""
        if stale:
            self._spawn(self._give_up(stale))

    def pass_on(self, job_ids: Iterable[JobId]) -> None:
        """Have the jobs rung sooner that this worker does not offer: another may, in the midst of a deploy.

        If the ledger cannot be told, the next ring comes when it would have come.
        """
        self._refused.update(job_ids)
        if self._refused and not self._is_telling:
            self._is_telling = True
            self._spawn(self._tell())

    async def _tell(self) -> None:
        # What comes while the ledger is being told goes into the next batch.
        try:
            while self._refused:
                batch = [self._refused.pop() for _ in range(min(len(self._refused), _MOST_AT_ONCE))]
                await self._ring_soon(batch, not_by=self._worker_id())
        finally:
            self._is_telling = False

    async def _ring_soon(self, job_ids: Sequence[JobId], *, not_by: WorkerId) -> None:
        with contextlib.suppress(LedgerError):
            await self._writer.call(lambda ledger: ledger.ring_soon(job_ids, not_by=not_by))

    async def _give_up(self, stale: Sequence[RingTicket]) -> None:
        job_ids = [ticket.job_id for ticket in stale]
        try:
            await self._writer.call(lambda ledger: ledger.ring_soon(job_ids))
        except LedgerError:
            self._waiting.put_back(stale)
            return
        for ticket in stale:
            ticket.ack()
