"""The product in the model: breakers, reporters, ramp, turnstile, releaser and decision, on its clock.

Only what the ledger and the threads do is played: rows wait in lists, reports
and pushes happen at the times at which their threads would run.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from holdfast.jobs import outcome
from holdfast.jobs.errors import RejectedError
from holdfast.jobs.events import Events
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job, Released
from holdfast.jobs.outcome import UPSTREAM
from holdfast.jobs.state import JobState
from holdfast.ledger.records import ParkedGroup
from holdfast.resilience.breaker.breaker import Permit
from holdfast.resilience.breaker.message import Message, ProbeWord, Reply
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.reporter import COALESCE_SECONDS
from holdfast.resilience.breaker.store import MemoryStore
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.breaker.verdict import SUCCESS
from holdfast.resilience.decision import decide, wait_out
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.retry import RetryPolicy
from holdfast.resilience.turnstile import FleetTurnstile
from holdfast.resilience.verdicts import verdict_of
from holdfast.tests.support.outage.policies import PROCESSES
from holdfast.tests.support.outage.world import NOON, Refused, Work, World
from holdfast.workers.services.releaser import Releaser

NAME: Final = "upstream"
RETRY: Final = RetryPolicy(max_attempts=1000)
T = TypeVar("T")


class Ours:
    """Jobs that are parked while their upstream is sick, and come back by its ramp."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        """Guard the upstream by this policy."""
        self.policy = policy or BreakerPolicy()

    def begin(self, world: World) -> None:
        """Start twenty processes that share a store, and a releaser in one of them."""
        self.world = world
        self.parked: deque[Work] = deque()
        self._store = _Store(world, self)
        self.processes = [_Process(world, self._store, self.policy) for _ in range(PROCESSES)]
        self._releaser = Releaser(
            self,  # type: ignore[arg-type]  # the three verbs of a ledger that it calls
            FleetTurnstile(self.processes[0].fleet),
            lambda _: None,
            events=Events(),
            clock=world.clock,
            sweep_seconds=1.0,
            batch=500,
        )
        self._releaser._threads = _AtOnce()  # type: ignore[assignment]  # noqa: SLF001 -- asks without threads
        self._release()

    def start(self, work: Work) -> Callable[[Refused | None], None] | None:
        """Let a job call, or park it before it has begun."""
        process = self.processes[int(self.world.random.random() * PROCESSES)]
        ticket, work.ticket = Ticket.of(work.ticket), None
        refusal = process.fleet.refusal(NAME, ticket)
        if refusal is None:
            try:
                permit = process.admit(ticket)
            except RejectedError as error:
                refusal = error
            else:
                return partial(self._ended, process, work, permit)
        self._obey(work, wait_out(_job(work), refusal, RETRY, jitter=self.world.random.random()))
        return None

    def _ended(self, process: "_Process", work: Work, permit: Permit, error: Refused | None) -> None:
        if error is None:
            permit.end(SUCCESS)
            return
        permit.end(verdict_of(error, self.world.clock))
        jitter, job = self.world.random.random(), _job(work)
        refusal = process.fleet.refusal(NAME)
        if refusal is not None:
            self._obey(work, wait_out(job, refusal, RETRY, jitter=jitter))
        else:
            self._obey(work, decide(job, error, RETRY, now=self.world.clock.now(), jitter=jitter))

    def _obey(self, work: Work, verdict: outcome.Outcome) -> None:
        match verdict:
            case outcome.Park():
                self.parked.append(work)
            case outcome.Snooze(delay_seconds=delay):
                self.world.after(delay, partial(self.world.make_available, work))
            case outcome.Retry(delay_seconds=delay):
                work.attempt += 1
                self.world.after(delay, partial(self.world.make_available, work))
            case _:
                raise AssertionError(verdict)

    # The ledger, as the releaser sees it.

    def parked_groups(self) -> list[ParkedGroup]:
        """Return who waits."""
        if not self.parked:
            return []
        return [ParkedGroup(UPSTREAM + NAME, 5, None, len(self.parked), self.world.clock.now())]

    def release(
        self, waiting_for: str, priority: int, tenant: str | None, tickets: Sequence[str | None]
    ) -> list[Released]:
        """Let the oldest go."""
        del waiting_for, priority, tenant
        released = []
        for ticket in tickets[: len(self.parked)]:
            # Parked again, a job is as old as before.
            work = min(self.parked, key=_came) if len(self.parked) < _FEW else self.parked[0]
            self.parked.remove(work)
            work.ticket = ticket
            released.append(Released(JobId(str(work.number)), "ask", "default", ticket, 0.0))
            self.world.after(0.005, partial(self.world.make_available, work))
        return released

    def find(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Return who was let go: nobody is cancelled here, so each of them has begun."""
        return {one: _job(Work(0, 0.0)) for one in job_ids}

    def _release(self) -> None:
        if not self._releaser.run_once():
            self.world.after(self._releaser.pause_seconds, self._release)
        else:
            self.world.after(0.0, self._release)


_FEW: Final = 200


def _came(work: Work) -> float:
    return work.came


class _Process:
    """One process: a fleet whose reporter runs at the model's times."""

    def __init__(self, world: World, store: "_Store", policy: BreakerPolicy) -> None:
        self._world = world
        self.fleet = Fleet(clock=world.clock)
        self.breaker = self.fleet.breaker(NAME, policy)
        self._reporter: Any = self.fleet.reporter
        self._reporter.start = lambda: None
        self._reporter.hurry = self._hurry
        self.fleet.share(store)
        self._reporter.is_told = True
        self._is_hurried = False
        self.breaker.begin()
        self._run()

    def admit(self, ticket: Ticket | None) -> Permit:
        """Do as a guard: a probe that was brought along must still be its own."""
        if ticket is not None and ticket.probe:
            word = Message(self._reporter.who, ticket.epoch, probe=ProbeWord.RENEW, token=ticket.probe)
            reply = self._reporter.exchange(NAME, word, self.breaker.policy)
            ticket = ticket if reply is not None and reply.is_prober else None
        return self.breaker.admit(ticket)

    def hear(self, reply: Reply) -> None:
        """Hear a push."""
        self._reporter.hear(NAME, reply)

    def _run(self) -> None:
        self._reporter.report_all()
        self._world.after(max(self._reporter._pause, 0.001), self._run)  # noqa: SLF001 -- as its thread does

    def _hurry(self) -> None:
        if not self._is_hurried:
            self._is_hurried = True
            self._world.after(COALESCE_SECONDS, self._report)

    def _report(self) -> None:
        self._is_hurried = False
        self._reporter.report_all()
        if self._reporter._pause < _LAZY:  # noqa: SLF001 -- it came within a gap
            self._world.after(max(self._reporter._pause, 0.001), self._report)  # noqa: SLF001 -- as its thread does


_LAZY: Final = 0.25


class _Store(MemoryStore):
    """The store, whose turns reach all processes some milliseconds later."""

    def __init__(self, world: World, ours: Ours) -> None:
        super().__init__(world.clock)
        self._world = world
        self._ours = ours
        self._not_before = 0

    def exchange(self, name: str, message: Message, terms: Terms) -> Reply:
        """Exchange, and push what turned."""
        reply = super().exchange(name, message, terms)
        if reply.turns or reply.is_overridden or reply.not_before > self._not_before:
            told = replace(reply, is_prober=False, permits=0)
            for process in self._ours.processes:
                self._world.after(self._world.random.uniform(0.001, 0.005), partial(process.hear, told))
        self._not_before = reply.not_before
        return reply


class _AtOnce:
    """Does what is submitted at once."""

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Do it."""
        future: Future[T] = Future()
        future.set_result(work())
        return future


def _job(work: Work) -> Job:
    return Job(
        id=JobId(str(work.number)), task="ask", version="1", queue="default", state=JobState.RUNNING,
        arguments="{}", created_at=NOON, run_at=NOON, attempt=work.attempt, claims=work.claims,
    )  # fmt: skip
