"""One worker: the production gate, executor and lease keeper on the running loop.

What is missing of a worker process is what a test drives itself: threads that
beat and sweep at their own pace, and a broker whose rings come when they like.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import Events
from holdfast.jobs.ids import JobId, new_worker_id
from holdfast.jobs.job import Job, Offer, Progress, Settled
from holdfast.jobs.outcome import Outcome
from holdfast.ledger import Ledger
from holdfast.ledger.records import NewWorker
from holdfast.tasks.spec import TaskSpec
from holdfast.testing.handlers import watched
from holdfast.testing.life import Life, current
from holdfast.testing.mortal import MortalPort, MortalWriter
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.executor import Executor
from holdfast.workers.gate import Gate
from holdfast.workers.leases import LeaseKeeper
from holdfast.workers.limits import Limits, concurrency_of
from holdfast.workers.placement import Threaded
from holdfast.workers.threads import DaemonThreads
from holdfast.workers.tickets import RingTicket
from holdfast.workers.writer import ClaimTerms

LOOK_SECONDS: Final = 0.02
"""How often a worker looks, in real time, whether somebody asked for the end of what it runs."""
BEAT_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 5.0
_NO_QUEUE: Final = ("none: each job is claimed by its id",)
running_job: Final[ContextVar[JobId | None]] = ContextVar("holdfast_testing_job", default=None)
"""The job whose handler runs here."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers of a platform share."""

    ledger: Ledger
    clock: Clock
    events: Events
    slots: int
    limits: Limits
    on_error: Callable[[JobId, BaseException], object]
    on_progress: Callable[[JobId, Progress], object]


class Worker:
    """Runs what it is given, and leaves; or dies at a point, and is buried later."""

    def __init__(self, around: Surroundings, specs: Iterable[TaskSpec], life: Life) -> None:
        """Put the parts together, on the running loop."""
        self.id: Final = new_worker_id()
        self.life: Final = life
        self._around = around
        self._nest = _Nest(asyncio.get_running_loop())
        self._registry = watched(specs, life, self._note_error)
        self._writer = MortalWriter(around.ledger, life, on_unavailable=self._suspend)
        self._threads = DaemonThreads(around.slots, name="holdfast-testing")
        self._gate = Gate(
            slots=around.slots,
            writer=self._writer,
            terms=self._terms,
            run=self._run,
            events=around.events,
            clock=around.clock,
            on_room=bool,
            threaded=Threaded(
                frozenset(task.name for task in self._registry if not task.spec.is_async), around.slots
            ),
        )
        port = MortalPort(
            around.ledger, self._writer, life, find=self._gate.attempt_of, on_progress=around.on_progress
        )
        self._executor = Executor(
            registry=self._registry,
            writer=self._writer,
            threads=self._threads,
            port=port,
            events=around.events,
            clock=around.clock,
            watcher=_Nobody(),
            on_abandoned=self._gate.outlive,
            limits=around.limits,
        )
        self._keeper = LeaseKeeper(
            worker_id=self.id,
            gate=self._gate,
            writer=self._writer,
            events=around.events,
            patience_seconds=2 * BEAT_SECONDS,
        )

    async def start(self) -> None:
        """Report for duty."""
        await asyncio.to_thread(self._register)
        self._writer.start()
        self._gate.start(cast("asyncio.AbstractEventLoop", self._nest))
        self._nest.create_task(self._look())

    def _register(self) -> None:
        new = NewWorker(
            id=self.id,
            name=f"testing-{self.id}",
            host="testing",
            pid=0,
            version="testing",
            slots=self._around.slots,
            queues=_NO_QUEUE,
            has_lane=True,
        )
        offers = [
            Offer(task.name, version, task.spec.queue)
            for task in self._registry
            for version in task.spec.upcasts.chain
        ]
        self._around.ledger.register_worker(new, offers)

    async def work(self, jobs: Sequence[Job]) -> None:
        """Ring for these jobs, in this order, and wait until they have ended, or the worker has."""
        done = self._nest.create_task(self._end_of(jobs))
        over = self._nest.create_task(self.life.over())
        await asyncio.wait({done, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if done.done():
            done.result()

    @property
    def is_fit(self) -> bool:
        """Tell whether it can run more: it lives, and no handler outlived its hard limit."""
        return not self.life.is_over and not self._gate.holds.remnants

    async def leave(self) -> None:
        """Leave as a worker does that is asked to, with nothing left to run."""
        self._gate.close()
        for attempt in tuple(self._gate.running.values()):
            if attempt.is_abandoned and not attempt.is_settling:
                await self._executor.give_up(attempt)
        await self._writer.call(lambda ledger: ledger.retire_worker(self.id))
        await self.bury()

    async def bury(self) -> None:
        """Let nothing of it be left on the loop or on threads."""
        self._gate.is_closed = True
        self.life.bury()
        self._gate.interrupt_all(Interrupt.LEASE_LOST)
        if self.life.handlers:
            await asyncio.wait(set(self.life.handlers), timeout=_STOP_SECONDS)
        await self._nest.clear()
        self._threads.close()
        await asyncio.to_thread(self._writer.stop, _STOP_SECONDS)

    async def _run(self, attempt: RunningAttempt) -> None:
        current.set(self.life)
        running_job.set(attempt.lease.job_id)
        await self.life.at("before_handler")
        await self._executor.run(attempt)

    async def _end_of(self, jobs: Sequence[Job]) -> None:
        left = len(jobs)
        all_taken = asyncio.Event()

        def taken() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                all_taken.set()

        now = self._around.clock.monotonic()
        for job in jobs:
            self._gate.offer(RingTicket(job.id, now, ack=taken, requeue=taken, task=job.task))
        await all_taken.wait()
        await self._gate.settle_down(None)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(LedgerError):
                await self._keeper.look()

    def _terms(self) -> ClaimTerms:
        limits = {
            task.name: limit
            for task in self._registry
            if (limit := task.spec.hard_timeout_seconds) is not None
        }
        terms = ClaimTerms(self.id, _NO_QUEUE, self._around.limits.hard_seconds, limits)
        return replace(terms, concurrency=concurrency_of(self._registry))

    def _suspend(self, error: Exception) -> None:
        del error
        self._gate.is_suspended = True

    def _note_error(self, error: BaseException) -> None:
        job_id = running_job.get()
        if job_id is not None and not self.life.is_over:
            self._around.on_error(job_id, error)


class _Nest:
    """The part of a loop that the gate uses; what began there can be ended together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()

    def create_task(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def call_soon_threadsafe(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)

    async def clear(self) -> None:
        while self._tasks:
            left = tuple(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


class _Nobody:
    """Hears of no start and no end: there is no Celery here."""

    def started(self, attempt: RunningAttempt) -> None:
        """Hear nothing."""

    def ended(
        self, attempt: RunningAttempt, result: Outcome | None, settled: Settled | None, seconds: float
    ) -> None:
        """Hear nothing."""
