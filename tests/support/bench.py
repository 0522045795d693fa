"""The worker's inner parts on a workbench: a clock to set, a ledger to unplug, rings to count."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.events import Event, Events
from holdfast.jobs.ids import JobId, WorkerId
from holdfast.jobs.job import Claim, ClaimRequest, NewJob, Offer
from holdfast.jobs.rota import Rota
from holdfast.ledger import Ledger
from holdfast.ledger.quarantine import Quarantine
from holdfast.ledger.schedules import Schedules
from holdfast.tests.support.builders import QUEUE, a_new_job, a_worker, an_offer
from holdfast.tests.support.waiting import until_async
from holdfast.workers.attempt import RunningAttempt
from holdfast.workers.gate import Gate
from holdfast.workers.placement import NOTHING_ISOLATED, NOTHING_THREADED, Isolated, Threaded
from holdfast.workers.tickets import RingTicket
from holdfast.workers.writer import ClaimTerms, LedgerWriter

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self._seconds = seconds
        self._started = seconds

    def now(self) -> datetime:
        """Noon, and what has passed since."""
        return NOON + timedelta(seconds=self._seconds - self._started)

    def monotonic(self) -> float:
        """What the test set."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds


class Unsteady:
    """A real ledger behind a line that a test can break, or hold.

    `before` and `after` name verbs whose call fails before it reached the ledger, or after its
    commit; `errors` gives a verb another error. A cleared `flow` holds every caller.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.before: set[str] = set()
        self.after: set[str] = set()
        self.errors: dict[str, BaseException] = {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.flow = threading.Event()
        self.flow.set()

    def as_ledger(self) -> Ledger:
        """The same object, for code that asks for a ledger."""
        return cast("Ledger", self)

    def count(self, verb: str) -> int:
        """Tell how often a verb was called, with success or without."""
        return sum(name == verb for name, _ in self.calls)

    def asked(self, verb: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each call of a verb."""
        return [arguments for name, arguments in self.calls if name == verb]

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._ledger, name)
        if isinstance(verb, (Quarantine, Schedules)):
            return _Part(self, verb)
        return self._breakable(name, verb) if callable(verb) else verb

    def _breakable(self, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments))
            self.flow.wait(10.0)
            if name in self.errors:
                raise self.errors[name]
            if name in self.before:
                raise LedgerUnavailable(detail=f"{name}: unplugged")
            answer = verb(*arguments, **options)
            if name in self.after:
                raise LedgerUnavailable(detail=f"{name}: the answer was lost")
            return answer

        return call


class _Part:
    """A part of the ledger behind the same line."""

    def __init__(self, line: Unsteady, part: Quarantine | Schedules) -> None:
        self._line = line
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return self._line._breakable(name, getattr(self._part, name))  # noqa: SLF001 -- two halves of one thing


@dataclass
class Rings:
    """What became of the rings of a test."""

    acked: list[JobId] = field(default_factory=list)
    requeued: list[JobId] = field(default_factory=list)

    def ticket(self, job_id: JobId, *, received_at: float = 1000.0, task: str = "") -> RingTicket:
        """A ring for this job."""
        return RingTicket(
            job_id,
            received_at,
            ack=lambda: self.acked.append(job_id),
            requeue=lambda: self.requeued.append(job_id),
            task=task,
        )


class Bench:
    """A gate and a writer on one ledger, for the length of a block on a running loop."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        slots: int,
        clock: FakeClock | None = None,
        threaded: Threaded = NOTHING_THREADED,
        isolated: Isolated = NOTHING_ISOLATED,
    ) -> None:
        self.line = Unsteady(ledger)
        self.ledger = ledger
        self.clock = clock or FakeClock()
        self.rings = Rings()
        self.seen: list[Event] = []
        self.events = Events(self.seen.append)
        self.room: list[bool] = []
        self.stuffed = 0
        self.worker_id = registered(ledger)
        self.rota = Rota()
        self.started: list[RunningAttempt] = []
        self.may_end = asyncio.Event()
        self.unavailable: list[Exception] = []
        self.writer = LedgerWriter(self.line.as_ledger(), on_unavailable=self.unavailable.append)
        self.gate = Gate(
            slots=slots,
            writer=self.writer,
            terms=lambda: terms_of(self.worker_id, self.rota),
            run=self._run,
            events=self.events,
            clock=self.clock,
            on_room=self.room.append,
            on_stuffed=self._stuff,
            threaded=threaded,
            isolated=isolated,
        )

    def _stuff(self) -> None:
        self.stuffed += 1

    async def _run(self, attempt: RunningAttempt) -> None:
        self.started.append(attempt)
        await self.may_end.wait()

    def ring(self, *job_ids: JobId, task: str = "") -> None:
        """Offer a ring for each job."""
        for job_id in job_ids:
            self.gate.offer(self.rings.ticket(job_id, received_at=self.clock.monotonic(), task=task))

    async def until_started(self, count: int) -> None:
        """Wait until so many attempts have begun."""
        await turns(lambda: len(self.started) >= count)

    def happened(self, kind: type[Event]) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.seen if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def bench(
    ledger: Ledger,
    *,
    slots: int = 4,
    clock: FakeClock | None = None,
    threaded: Threaded = NOTHING_THREADED,
    isolated: Isolated = NOTHING_ISOLATED,
) -> AsyncGenerator[Bench, None]:
    """Start a bench and clean it up."""
    made = Bench(ledger, slots=slots, clock=clock, threaded=threaded, isolated=isolated)
    made.writer.start()
    made.gate.start(asyncio.get_running_loop())
    try:
        yield made
    finally:
        made.line.flow.set()
        made.gate.is_closed = True
        made.may_end.set()
        await asyncio.to_thread(made.writer.stop, 5.0)


async def turns(predicate: Callable[[], object], *, timeout_seconds: float = 5.0) -> None:
    """Let the loop turn until something is true."""

    async def ask() -> bool:
        return bool(predicate())

    await until_async(ask, timeout_seconds=timeout_seconds)


def registered(ledger: Ledger, offers: Iterable[Offer] | None = None) -> WorkerId:
    """Let a worker report for duty."""
    worker = a_worker()
    ledger.register_worker(worker, [an_offer()] if offers is None else list(offers))
    return worker.id


def terms_of(worker_id: WorkerId, rota: Rota | None = None) -> ClaimTerms:
    """What a test worker claims for."""
    return ClaimTerms(worker_id, (QUEUE,), 60.0, {}, rota=rota)


def enqueued(ledger: Ledger, count: int = 1, **fields: Any) -> list[JobId]:
    """Write jobs and return their ids."""
    jobs: list[NewJob] = [a_new_job(**fields) for _ in range(count)]
    return [answer.job_id for answer in ledger.enqueue(jobs)]


def claimed(ledger: Ledger, worker_id: WorkerId, job_id: JobId | None = None) -> Claim:
    """Claim one job."""
    rings = Rings()
    ticket = rings.ticket(job_id or enqueued(ledger)[0])
    claims = ledger.claim(
        worker_id,
        [ClaimRequest(ticket.token, ticket.job_id)],
        queues=(QUEUE,),
        default_attempt_seconds=60.0,
        hard_limits={},
    )
    return claims[0]
