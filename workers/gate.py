"""The gate: a ring comes in, a slot is free, the job is claimed; only then is the ring acknowledged."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from holdfast.jobs.clock import Clock, random_fraction
from holdfast.jobs.errors import LeaseLost, LedgerError
from holdfast.jobs.events import Events, ServiceFailed
from holdfast.jobs.ids import JobId, LeaseToken, new_lease_token
from holdfast.jobs.job import Apart, Claim, ClaimRequest, Without
from holdfast.jobs.lease import Lease
from holdfast.jobs.ring_events import RingDropped, RingTurned
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.holds import Holds
from holdfast.workers.placement import NOTHING_ISOLATED, NOTHING_THREADED, Isolated, Threaded
from holdfast.workers.room import Room
from holdfast.workers.tickets import RingTicket, WaitingRings
from holdfast.workers.unwanted import UnwantedRings
from holdfast.workers.verdicts import lease_was_lost
from holdfast.workers.writer import ClaimTerms, LedgerWriter

MOST_CLAIMED_AT_ONCE: Final = 64
QUIET_SECONDS: Final = 1.0
"""A worker with a free slot and no ring for so long claims from the ledger directly (B10)."""
STALE_RING_SECONDS: Final = 60.0
"""A ring that waited so long for a slot is given up, and the ledger rings again (B29)."""
_LONGEST_ERROR: Final = 500

Run = Callable[[RunningAttempt], Awaitable[None]]
T = TypeVar("T")


class Gate:
    """Admits jobs to slots.

    Everything but `offer` and the counters runs on the event loop. One claim
    is under way at a time: what arrives meanwhile goes into the next one.
    """

    def __init__(
        self,
        *,
        slots: int,
        writer: LedgerWriter,
        terms: Callable[[], ClaimTerms],
        run: Run,
        events: Events,
        clock: Clock,
        on_room: Callable[[bool], object],
        on_stuffed: Callable[[], object] = lambda: None,
        threaded: Threaded = NOTHING_THREADED,
        isolated: Isolated = NOTHING_ISOLATED,
    ) -> None:
        """Make a gate of `slots` jobs; `on_room` is told when it becomes full and when it has room again.

        A job of a `threaded` task is claimed only while a thread is free for it: claimed and waiting
        in line it would spend its time limits, and an idle worker could not have it.

        `on_stuffed` is told when it stays full for a while: brokers that push
        are then paused, and the rings that wait here go back (B29).
        """
        self.slots = slots
        self.running: dict[JobId, RunningAttempt] = {}
        self._on_threads: set[JobId] = set()
        self._writer = writer
        self._terms = terms
        self._run = run
        self._events = events
        self._clock = clock
        self._room = Room(on_room)
        self._on_stuffed = on_stuffed
        self._threaded = threaded
        self._isolated = isolated
        self._apart: set[JobId] = set()
        self._wishes: list[tuple[Apart, int]] = []
        self._waiting = WaitingRings()
        self._unwanted = UnwantedRings(writer, self._waiting, lambda: terms().worker_id, self._spawn)
        self._claiming: list[ClaimRequest] = []
        self._in_doubt: tuple[list[ClaimRequest], list[RingTicket], Apart | None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._executions: set[asyncio.Task[Any]] = set()
        self._claims: set[asyncio.Task[Any]] = set()
        self._last_ring_at = 0.0
        self._pump_is_due = False
        self._finds_unrung = False
        self._has_freed = asyncio.Event()
        self.holds = Holds(self._pump)
        self.is_closed = False
        self.is_suspended = False

    @property
    def free(self) -> int:
        """Tell how many slots are free; may be read from any thread."""
        taken = len(self.running) - len(self._apart) + len(self._claiming)
        return 0 if self.holds.are_any else self.slots - taken

    @property
    def free_threads(self) -> int:
        """Tell how many more jobs may run on threads."""
        return self._threaded.threads - len(self._on_threads)

    def attempt_of(self, lease: Lease) -> RunningAttempt | None:
        """Return the attempt that runs here under a lease; may be called from any thread."""
        attempt = self.running.get(lease.job_id)
        return attempt if attempt is not None and attempt.lease.token == lease.token else None

    def has_room(self) -> bool:
        """Tell whether another ring is wanted; read by the consumer on the hub's thread."""
        return not self.is_closed and self.free > len(self._waiting)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to admit, on this loop."""
        self._loop = loop
        self._last_ring_at = self._clock.monotonic()
        self._spawn(self._watch_quiet())

    def offer(self, ticket: RingTicket) -> None:
        """Take a ring from any thread."""
        self._waiting.offer(ticket)
        if self._loop is not None and not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon_threadsafe(self._pump)

    def pass_on(self, job_id: JobId) -> None:
        """Have a job rung soon elsewhere, whose ring reached a worker that does not offer it; any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._unwanted.pass_on, [job_id])

    def close(self) -> None:
        """Claim nothing more; rings that wait go back to the broker. Final."""
        self.is_closed = True
        self._room.close()
        self._waiting.line_up()
        self._waiting.requeue()

    def tokens_under_way(self) -> set[LeaseToken]:
        """Return the tokens of claims whose answer is not known yet: not lost, whatever the ledger says."""
        doubtful = self._in_doubt[0] if self._in_doubt is not None else []
        return {request.token for request in (*self._claiming, *doubtful)}

    def forget_rings(self, received_before: float) -> None:
        """Drop the rings of a lost broker connection; they cannot be acknowledged any more.

        `received_before` is monotonic seconds: rings of the next connection may be here already.
        """
        self._waiting.forget(received_before)

    def resume(self) -> None:
        """Claim again after the ledger was away."""
        self.is_suspended = False
        self._pump()

    def _pump(self) -> None:
        self._pump_is_due = False
        if self._waiting.line_up():
            self._last_ring_at = self._clock.monotonic()
            self._finds_unrung = False
        self._room.tell(self.free)
        if self.is_closed:
            self.close()
            return
        if self.is_suspended or self._claiming:
            return
        if self._in_doubt is not None:
            # Before any other claim: what it was granted holds slots already.
            requests, tickets, apart = self._in_doubt
            self._in_doubt = None
        elif self._wishes:
            apart, most = self._wishes.pop(0)
            requests, tickets = [ClaimRequest(new_lease_token()) for _ in range(most)], []
        else:
            tickets, apart = self._next_tickets(), None
            requests = self._room.requests(tickets)
        if requests:
            self._begin_claim(requests, tickets, self._spared(apart), apart)

    def look_apart(self) -> None:
        """Claim what there is room for in isolated processes; called when there may be some."""
        self._wishes = [] if self.is_closed or self.holds.are_any else self._isolated.wishes()
        self._pump()

    def _begin_claim(
        self,
        requests: list[ClaimRequest],
        tickets: list[RingTicket],
        without: Without,
        apart: Apart | None = None,
    ) -> "asyncio.Task[list[Claim]]":
        self._claiming = requests
        claim = self._spawn(self._claim(requests, tickets, without, apart))
        self._claims.add(claim)
        claim.add_done_callback(self._claims.discard)
        return claim

    def _next_tickets(self) -> list[RingTicket]:
        most, threads = min(self.free, MOST_CLAIMED_AT_ONCE), self.free_threads
        if self._room.is_crowded:
            most = self._wanted()
        fresh: dict[JobId, RingTicket] = {}
        kept: list[RingTicket] = []
        while len(fresh) < most and (ticket := self._waiting.next()) is not None:
            if ticket.job_id in self.running or ticket.job_id in fresh:
                ticket.ack()
                self._events.emit(RingDropped(job_id=ticket.job_id, why="already here"))
            elif ticket.task in self._isolated.tasks:
                # It says only that there is something to look for; any worker with room does.
                ticket.ack()
                self._soon(self.look_apart)
            elif self._threaded.has(ticket.task) and threads <= 0:
                kept.append(ticket)
            else:
                threads -= self._threaded.has(ticket.task)
                fresh[ticket.job_id] = ticket
        self._waiting.put_back(kept)
        return list(fresh.values())

    async def _claim(
        self,
        requests: list[ClaimRequest],
        tickets: list[RingTicket],
        without: Without,
        apart: Apart | None,
    ) -> list[Claim]:
        try:
            terms = replace(self._terms(), without=without, apart=apart)
            claims = await self._writer.claim(requests, terms)
        except LedgerError:
            # Perhaps it was committed: asked again with the same tokens when the ledger is back.
            self._in_doubt = (requests, tickets, apart)
            self.is_suspended = True
            claims = []
        except LeaseLost:
            # This worker was declared dead and comes back under a new id; the rings wait for that.
            self._waiting.put_back(tickets)
            self._in_doubt = None
            self.is_suspended = True
            claims = []
        except Exception as error:  # noqa: BLE001 -- a fault here must not keep the rings of a whole window
            self._events.emit(ServiceFailed(service="gate", error=repr(error)[:_LONGEST_ERROR]))
            for ticket in tickets:
                ticket.requeue()
            claims = []
        else:
            again = self._room.unanswered(requests, tickets, claims)
            self._waiting.put_back(again)
            self._admit(claims, [ticket for ticket in tickets if ticket not in again])
        finally:
            self._claiming = []
        self._room.tell(self.free)
        if apart is not None and any(self.attempt_of(claim.lease) for claim in claims):
            # When they have found their places, there may be room for more.
            self._soon(self.look_apart)
        elif self._waiting or self._wishes:
            self._pump()
        return claims

    def _admit(self, claims: list[Claim], tickets: list[RingTicket]) -> None:
        for claim in claims:
            if claim.lease.job_id in self.running:
                # An execution that lost its lease has not ended here; two of one job must not meet (B17).
                self._spawn(self._give_back(claim))
                continue
            attempt = RunningAttempt(claim, self._clock.monotonic())
            if self.is_closed:
                # The claim was under way when the drain began.
                attempt.interrupt(Interrupt.DRAIN)
            self.running[claim.lease.job_id] = attempt
            if claim.job.cohort is not None:
                self._apart.add(claim.lease.job_id)
            elif self._threaded.has(claim.job.task):
                self._on_threads.add(claim.lease.job_id)
            self._executions.add(execution := self._spawn(self._execute(attempt)))
            execution.add_done_callback(self._executions.discard)
        brought = {claim.lease.token: claim.lease.job_id for claim in claims}
        for ticket in tickets:
            ticket.ack()
            if (job_id := brought.get(ticket.token)) is None:
                self._events.emit(RingDropped(job_id=ticket.job_id, why="not available here"))
            elif job_id != ticket.job_id:
                self._events.emit(RingTurned(job_id=ticket.job_id, brought=job_id))
        self._unwanted.pass_on(ticket.job_id for ticket in tickets if ticket.token not in brought)

    async def _execute(self, attempt: RunningAttempt) -> None:
        try:
            await self._run(attempt)
        finally:
            if not attempt.is_abandoned:
                self._let_go(attempt.lease.job_id)
                self._pump()
                if self._finds_unrung:
                    self._has_freed.set()

    def _let_go(self, job_id: JobId) -> None:
        self.running.pop(job_id, None)
        self._on_threads.discard(job_id)
        self._apart.discard(job_id)

    async def _give_back(self, claim: Claim) -> None:
        # If this fails, the reconciliation finds a row that nobody holds.
        with contextlib.suppress(LedgerError):
            await self._writer.call(lambda ledger: ledger.hand_back([claim.lease], "not ended here yet"))

    async def _watch_quiet(self) -> None:
        while not self.is_closed:
            await self._rest()
            self._room.look()
            self._give_up_stale_rings()
            if self.free <= 0 and self._waiting:
                self._on_stuffed()
                self._waiting.requeue()
            if self.free_threads <= 0:
                # They wait for a thread, and another worker may have one.
                self._waiting.requeue(lambda ticket: self._threaded.has(ticket.task))
            await self._claim_unrung()
            # Last: while this claims, nothing is quiet.
            self.look_apart()

    async def _rest(self) -> None:
        # While no ring comes and the ledger has more, no free slot idles: an absent broker costs no speed.
        self._has_freed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_freed.wait(), QUIET_SECONDS * (0.75 + 0.5 * random_fraction()))

    async def _claim_unrung(self) -> None:
        while self._is_quiet():
            wanted = self._wanted()
            requests = [ClaimRequest(new_lease_token()) for _ in range(wanted)]
            claims = await self._begin_claim(requests, [], self._spared(None))
            self._finds_unrung = len(claims) == wanted
            if not self._finds_unrung:
                return

    def _wanted(self) -> int:
        wanted, threads = min(self.free, MOST_CLAIMED_AT_ONCE), self.free_threads
        # Nobody knows which tasks will come, so no more than threads, until there are none left.
        return min(wanted, threads) if threads > 0 and self._threaded.tasks else wanted

    def _spared(self, apart: Apart | None) -> Without:
        # What was cut off and has not ended here must not meet the next execution of its job (B17).
        ending = (job for job, attempt in self.running.items() if attempt.interrupted is not None)
        has_threads = apart is not None or self.free_threads > 0
        return Without(frozenset() if has_threads else self._threaded.tasks, frozenset(ending))

    def _is_quiet(self) -> bool:
        if self.is_closed or self.is_suspended or self._claiming or self._waiting or self.free <= 0:
            return False
        return self._clock.monotonic() - self._last_ring_at >= QUIET_SECONDS

    def _give_up_stale_rings(self) -> None:
        self._unwanted.give_up(self._waiting.take_stale(self._clock.monotonic() - STALE_RING_SECONDS))

    def _soon(self, work: Callable[[], object]) -> None:
        if self._loop is not None:
            self._loop.call_soon(work)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        if self._loop is None:
            raise RuntimeError("the gate was not started")
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle_down(self, timeout_seconds: float | None) -> None:
        """Wait until no attempt runs that can still end, or until time is up (None: as long as it takes)."""
        while (busy := self._executions | self._claims) and timeout_seconds != 0:
            started = self._clock.monotonic()
            await asyncio.wait(busy, timeout=timeout_seconds)
            if timeout_seconds is not None:
                timeout_seconds = max(0.0, timeout_seconds - (self._clock.monotonic() - started))

    def interrupt_all(self, why: Interrupt) -> None:
        """Cancel every running handler."""
        for attempt in tuple(self.running.values()):
            attempt.interrupt(why)

    def outlive(self, attempt: RunningAttempt, end_late: Coroutine[Any, Any, None]) -> None:
        """Claim nothing while an abandoned handler still runs; go on when it has ended after all."""
        self.holds.remnants += 1
        self._room.tell(self.free)
        self._waiting.requeue()
        self._spawn(self._await_remnant(attempt, end_late))

    async def _await_remnant(self, attempt: RunningAttempt, end_late: Coroutine[Any, Any, None]) -> None:
        await end_late
        self.holds.remnants -= 1
        self._let_go(attempt.lease.job_id)
        self._pump()

    def lose(self, attempt: RunningAttempt, where: str) -> None:
        """Cancel a handler whose lease is not ours any more."""
        self._events.emit(lease_was_lost(attempt, where))
        attempt.interrupt(Interrupt.LEASE_LOST)
