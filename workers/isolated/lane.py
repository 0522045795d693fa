"""The isolation lane of a worker: a bounded number of processes for jobs that run apart (B11).

An isolated task, and a suspect that is down to itself, has a process to
itself. Other suspects share one with at most as many as their cohort allows.
The lane says what it has room for; the gate claims it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from holdfast.jobs.events import Events, IsolatedProcessDied, ServiceFailed
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import LeaseToken
from holdfast.jobs.job import Apart, Settled
from holdfast.jobs.outcome import Crashed
from holdfast.jobs.state import JobState
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.companion.attribution import FAILURE_TYPE, cohort_limit, failure_of
from holdfast.workers.companion.memory import OutOfMemoryCount
from holdfast.workers.companion.scene import Death
from holdfast.workers.executor import Stopped
from holdfast.workers.isolated import wire
from holdfast.workers.isolated.nursery import Child, Nursery, NurseryFailed
from holdfast.workers.outcomes import outcome_of_json
from holdfast.workers.verdicts import HandedBack, Lost, Verdict

KILL_AFTER_SECONDS: Final = 2.0
"""How long after its hard limit an attempt has to end by itself."""
PATIENCE_SECONDS: Final = {Interrupt.LEASE_LOST: 1.0, Interrupt.DRAIN: 4.0, Interrupt.CANCEL: 5.0}
"""How long a handler may take to end after such an interrupt, before its process is killed."""
DISMISS_SECONDS: Final = 5.0
"""How long a process may take to end that nobody needs any more: a handler may have left a thread in it."""
FIRST_REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 30.0
"""How long nothing is claimed after a process could not be had: doubled each time, until one serves."""


@dataclass(slots=True, eq=False)
class _Member:
    attempt: RunningAttempt
    verdict: "asyncio.Future[Verdict]"
    is_to_blame: bool = False
    """The process is killed because of this attempt."""


@dataclass(slots=True, eq=False)
class _Cell:
    """One process and who is in it."""

    limit: int
    memory_mb: int | None
    members: dict[LeaseToken, _Member] = field(default_factory=dict[LeaseToken, _Member])
    child: "asyncio.Task[Child] | None" = None
    is_closing: bool = False

    @property
    def room(self) -> int:
        return 0 if self.is_closing else self.limit - len(self.members)


class Lane:
    """Runs attempts in isolated processes. On the worker's event loop."""

    def __init__(
        self,
        *,
        processes: int,
        memory_mb: int | None,
        events: Events,
        monotonic: Callable[[], float],
        memory: OutOfMemoryCount | None = None,
    ) -> None:
        """Use at most so many processes, each with at most so much memory unless its task says otherwise."""
        self._processes = processes
        self._memory_mb = memory_mb
        self._events = events
        self._monotonic = monotonic
        self._memory = memory or OutOfMemoryCount()
        self._nursery = Nursery(was_out_of_memory=self._memory.was_raised, on_lost=self._rest)
        self._cells: set[_Cell] = set()
        self._changed = asyncio.Event()
        self._rests_until = 0.0
        self._failures = 0
        """In a row: processes that could not be had."""
        self._is_closed = False
        self.on_room: Callable[[], object] = bool
        """Called when a process has ended, and another one may begin."""
        self.count_callers: Callable[[], int] = int
        """By what a process divides a limit while the store is lost; it hears so with each job."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> int:
        """How many processes there are now."""
        return len(self._cells)

    def wishes(self) -> list[tuple[Apart, int]]:
        """Return what there is room for, and for how many: first where suspects may be joined."""
        self._memory.look()
        if self._is_closed or self._monotonic() < self._rests_until:
            return []
        joined = [(Apart(cell.limit), cell.room) for cell in self._cells if cell.limit > 1 and cell.room > 0]
        return [*joined, (Apart(), 1)] if len(self._cells) < self._processes else joined

    async def run(
        self, attempt: RunningAttempt, *, hard_seconds: float, memory_mb: int | None = None
    ) -> Verdict:
        """Run an attempt to its end. Raises Stopped: it had to be killed, for its interrupt or its limit."""
        cell = await self._cell_for(attempt, memory_mb or self._memory_mb)
        member = _Member(attempt, asyncio.get_running_loop().create_future())
        cell.members[attempt.lease.token] = member
        try:
            await self._begin(cell, member)
            done, _ = await asyncio.wait({member.verdict}, timeout=hard_seconds + KILL_AFTER_SECONDS)
            if not done:
                self._blame(cell, member)
            return await member.verdict
        finally:
            cell.members.pop(attempt.lease.token, None)
            if not cell.members:
                self._close(cell)

    def close(self) -> None:
        """Begin nothing more; kill what is left. May be called twice."""
        self._is_closed = True
        self._nursery.close()

    async def _cell_for(self, attempt: RunningAttempt, memory_mb: int | None) -> _Cell:
        limit = attempt.claim.job.cohort or 1
        while True:
            for cell in self._cells:
                if cell.room > 0 and cell.limit <= limit and cell.memory_mb == memory_mb:
                    return cell
            if len(self._cells) < self._processes:
                break
            # The gate claims only what fits; what comes otherwise waits here under its lease.
            self._changed.clear()
            attempt.watch(self._changed.set)
            await self._changed.wait()
            if attempt.interrupted is not None:
                raise Stopped
        cell = _Cell(limit, memory_mb)
        self._cells.add(cell)
        cell.child = asyncio.get_running_loop().create_task(self._bear(cell))
        return cell

    async def _bear(self, cell: _Cell) -> Child:
        child = await self._nursery.child(lambda message: self._hear(cell, message), memory_mb=cell.memory_mb)
        watch = asyncio.get_running_loop().create_task(self._watch(cell, child))
        self._tasks.add(watch)
        watch.add_done_callback(self._tasks.discard)
        if cell.is_closing:
            self._dismiss(child)
        return child

    async def _begin(self, cell: _Cell, member: _Member) -> None:
        if cell.child is None:
            raise RuntimeError("a cell without a process")
        try:
            child = await asyncio.shield(cell.child)
        except NurseryFailed as error:
            self._refuse(cell, str(error))
            return
        member.attempt.watch(lambda: self._interrupt(cell, child, member))
        # Its limits begin when it can begin.
        await child.ready.wait()
        callers = self.count_callers()
        child.send({"run": wire.claim_as_json(member.attempt.claim), "callers": callers})
        # The claim has taken them along.
        member.attempt.errand.tickets.clear()
        if member.attempt.interrupted is not None:
            child.send(_interruption(member.attempt, member.attempt.interrupted))

    def _refuse(self, cell: _Cell, why: str) -> None:
        """Give back what a process was wanted for that could not be had; nobody's attempt is to blame."""
        if not cell.is_closing:
            self._rest()
            self._events.emit(ServiceFailed(service="isolation", error=why))
        self._end_all(cell, lambda: HandedBack("isolation does not start"))

    def _rest(self) -> None:
        self._failures += 1
        rest = min(FIRST_REST_SECONDS * 2.0 ** min(self._failures - 1, 10), LONGEST_REST_SECONDS)
        self._rests_until = self._monotonic() + rest

    async def _watch(self, cell: _Cell, child: Child) -> None:
        death = await child.death
        left = [member for member in cell.members.values() if not member.verdict.done()]
        if left and child.refusal and not any(member.is_to_blame for member in left):
            self._refuse(cell, child.refusal)
            return
        cell.is_closing = True
        if left:
            self._tell(cell, death, left)
        self._forget(cell)

    def _tell(self, cell: _Cell, death: Death, left: list[_Member]) -> None:
        was_stopped = any(member.is_to_blame for member in cell.members.values())
        is_proof = death.is_proof and not was_stopped
        limit = cohort_limit(len(left)) if is_proof else None
        for member in left:
            if member.is_to_blame:
                member.verdict.set_exception(Stopped())
            elif was_stopped:
                member.verdict.set_result(_lost("its process was stopped because of another job"))
            else:
                crashed = Crashed(failure_of(death), limit, is_alone=is_proof and len(left) == 1)
                member.verdict.set_result(crashed)
        if not was_stopped:
            self._events.emit(
                IsolatedProcessDied(
                    how=death.how,
                    peak_mb=death.peak_mb,
                    is_out_of_memory=death.is_out_of_memory,
                    jobs=len(left),
                )
            )

    def _hear(self, cell: _Cell, message: wire.Message) -> None:
        kind = next(iter(message))
        member = cell.members.get(LeaseToken(str(message[kind])))
        self._failures = 0
        if member is None or member.verdict.done():
            return
        match kind:
            case "completing":
                member.attempt.is_completing = True
            case "outcome":
                member.verdict.set_result(outcome_of_json(message["is"]))
            case "handed_back":
                member.verdict.set_result(HandedBack(message["why"]))
            case "abandoned":
                self._blame(cell, member)
            case "completed":
                _note_settled(member, message)
            case _:
                if message["settled"] is not None:
                    _note_settled(member, message)
                member.verdict.set_result(Lost())

    def _interrupt(self, cell: _Cell, child: Child, member: _Member) -> None:
        why = member.attempt.interrupted
        if why is None:
            return
        child.send(_interruption(member.attempt, why))
        if why in PATIENCE_SECONDS:
            asyncio.get_running_loop().call_later(PATIENCE_SECONDS[why], self._lose_patience, cell, member)

    def _lose_patience(self, cell: _Cell, member: _Member) -> None:
        if member.verdict.done():
            return
        if all(one.attempt.interrupted is not None for one in cell.members.values()):
            self._blame(cell, member)
        else:
            # A kill would cost the others in the process their attempt.
            asyncio.get_running_loop().call_later(DISMISS_SECONDS, self._lose_patience, cell, member)

    def _blame(self, cell: _Cell, member: _Member) -> None:
        member.is_to_blame = True
        cell.is_closing = True
        if cell.child is not None and cell.child.done():
            self._nursery.kill(cell.child.result())
        else:
            self._end_all(cell, lambda: _lost("its process did not start in time"))

    def _end_all(self, cell: _Cell, verdict: Callable[[], Verdict]) -> None:
        cell.is_closing = True
        for member in cell.members.values():
            if not member.verdict.done():
                member.verdict.set_result(verdict())
        self._forget(cell)

    def _close(self, cell: _Cell) -> None:
        cell.is_closing = True
        if cell.child is None or not cell.child.done():
            return
        if cell.child.cancelled() or cell.child.exception() is not None:
            # There is no process whose death would free the place.
            self._forget(cell)
        else:
            self._dismiss(cell.child.result())

    def _dismiss(self, child: Child) -> None:
        child.hang_up()
        asyncio.get_running_loop().call_later(DISMISS_SECONDS, self._nursery.kill, child)

    def _forget(self, cell: _Cell) -> None:
        self._cells.discard(cell)
        self._changed.set()
        self.on_room()


def _lost(why: str) -> Crashed:
    return Crashed(Failure(type=FAILURE_TYPE, message=why, traceback=""), None)


def _interruption(attempt: RunningAttempt, why: Interrupt) -> wire.Message:
    return {"interrupt": attempt.lease.token, "why": why.value}


def _note_settled(member: _Member, message: wire.Message) -> None:
    member.attempt.settled = Settled(member.attempt.lease, JobState(message["settled"]))
