"""What we hold, and what the ledger says that we hold, kept the same (B1).

A worker's heartbeat says "the process lives", the held set says "the job
lives": a claim whose answer was lost, a settle that a failover forgot and a
coroutine that vanished all show up here as a difference.
"""

import asyncio
from typing import Final

from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import Events, ServiceFailed
from holdfast.jobs.ids import LeaseToken, WorkerId
from holdfast.jobs.job import Held
from holdfast.jobs.lease import Fence, Lease
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.drain import CLEAN_UP_SECONDS
from holdfast.workers.gate import Gate
from holdfast.workers.writer import LedgerWriter

REMNANT_SECONDS: Final = 30.0
"""How long a handler that outlived its hard limit keeps its lease, from each look on."""
LOOK_SECONDS: Final = 1.0
"""How often the two are compared; also how soon a cancel request is seen."""

LOOKS_BEFORE_NEXT_CANCEL: Final = round(CLEAN_UP_SECONDS / LOOK_SECONDS)


class LeaseKeeper:
    """Compares the running attempts with the ledger's rows, on the event loop."""

    def __init__(
        self,
        *,
        worker_id: WorkerId,
        gate: Gate,
        writer: LedgerWriter,
        events: Events,
        patience_seconds: float,
    ) -> None:
        """Keep the leases of this worker; a stray row is handed back after `patience_seconds` (two beats)."""
        self._worker_id = worker_id
        self._gate = gate
        self._writer = writer
        self._events = events
        self._looks_before_hand_back = max(2, round(patience_seconds / LOOK_SECONDS))
        self._strays: dict[LeaseToken, int] = {}

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except LedgerError:
                # The heartbeat tells of the outage; nothing is decided without the ledger.
                self._strays.clear()
            except Exception as error:  # noqa: BLE001 -- a fault here must not end the watch over all leases
                self._events.emit(ServiceFailed(service="leases", error=repr(error)[:500]))

    async def look(self) -> None:
        """Compare once."""
        before = {attempt.lease.token: attempt for attempt in self._gate.running.values()}
        under_way = self._gate.tokens_under_way()
        worker_id = self._worker_id
        rows = await self._writer.call(lambda ledger: ledger.held(worker_id))
        if self._gate.is_suspended:
            self._gate.resume()
        for row in rows:
            attempt = before.get(row.token)
            if attempt is not None and row.cancel_requested:
                self._cancel(attempt)
        await self._prolong([attempt.lease for attempt in before.values() if attempt.is_abandoned])
        await self._check_missing(before, {row.token for row in rows})
        await self._hand_back_strays(rows, set(before) | under_way)

    def _cancel(self, attempt: RunningAttempt) -> None:
        # Once: a second cancellation would end what the handler does to end in good order. Only when its
        # time for that is over, it is asked again, for as long as it takes.
        if attempt.interrupted is None:
            attempt.interrupt(Interrupt.CANCEL)
        elif attempt.interrupted is Interrupt.CANCEL:
            attempt.looks_since_cancel += 1
            if attempt.looks_since_cancel % LOOKS_BEFORE_NEXT_CANCEL == 0:
                attempt.interrupt(Interrupt.CANCEL)

    async def _prolong(self, leases: list[Lease]) -> None:
        # What outlived its hard limit runs: nobody else may begin it while this process lives (B17).
        if leases:
            await self._writer.call(lambda ledger: ledger.prolong(leases, REMNANT_SECONDS))

    async def _check_missing(self, before: dict[LeaseToken, RunningAttempt], known: set[LeaseToken]) -> None:
        missing = [
            attempt
            for token, attempt in before.items()
            if token not in known
            and not attempt.is_settling
            and attempt.interrupted is not Interrupt.LEASE_LOST
            and attempt.lease.job_id in self._gate.running
        ]
        if not missing:
            return
        leases = [attempt.lease for attempt in missing]
        answers = await self._writer.call(lambda ledger: ledger.owns(leases))
        for attempt, is_ours in zip(missing, answers, strict=True):
            if is_ours or attempt.is_settling or attempt.settled is not None:
                continue
            if attempt.is_completing:
                # Its own transaction may have ended it this moment, and says so in the next one.
                attempt.is_completing = False
            else:
                self._gate.lose(attempt, where="reconciliation")

    async def _hand_back_strays(self, rows: list[Held], held: set[LeaseToken]) -> None:
        held = held | self._gate.tokens_under_way() | {a.lease.token for a in self._gate.running.values()}
        strays = {row.token: self._strays.get(row.token, 0) + 1 for row in rows if row.token not in held}
        self._strays = strays
        ripe = [row for row in rows if strays.get(row.token, 0) >= self._looks_before_hand_back]
        if not ripe:
            return
        # Only the token writes; the other fields of the lease are for people.
        leases = [Lease(row.job_id, row.token, self._worker_id, Fence(0, 0), 0) for row in ripe]
        await self._writer.call(lambda ledger: ledger.hand_back(leases, "not held by its worker"))
