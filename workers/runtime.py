"""One worker process, put together: what starts, in which order, and how it leaves."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any

from holdfast.jobs.errors import JobNotFound, LedgerError
from holdfast.jobs.events import WorkerDraining, WorkerStarted, WorkerStopped
from holdfast.jobs.ids import JobId, WorkerId, new_worker_id
from holdfast.jobs.rota import Rota
from holdfast.workers.abandoned import AbandonedThreads
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.beat import BeatCalls, Heartbeat
from holdfast.workers.celery_view import CeleryView
from holdfast.workers.census import birth_of_self
from holdfast.workers.companion.beat import CompanionBeat
from holdfast.workers.config import WorkerConfig
from holdfast.workers.drain import CLEAN_UP_SECONDS, Drain
from holdfast.workers.executor import Executor
from holdfast.workers.fitness import UNFIT
from holdfast.workers.gate import Gate
from holdfast.workers.hub import HubLink
from holdfast.workers.leases import LeaseKeeper
from holdfast.workers.loop import LoopThread
from holdfast.workers.outfit import Outfit, RingConsumer
from holdfast.workers.placement import isolated_of, threaded_of
from holdfast.workers.port import WorkerPort
from holdfast.workers.rebirth import Rebirth
from holdfast.workers.registration import AskedToLeave, Registration
from holdfast.workers.services.service import ServiceThread
from holdfast.workers.spool.heir import Heir, name_of, prefix_of
from holdfast.workers.spool.outcomes import OutcomeSpool
from holdfast.workers.strays import Strays
from holdfast.workers.terms import terms_of
from holdfast.workers.threads import DaemonThreads
from holdfast.workers.writer import ClaimTerms, LedgerWriter


class Runtime:
    """A worker. `start` and `stop` are called on Celery's main thread, once each."""

    def __init__(self, config: WorkerConfig, outfit: Outfit) -> None:
        """Put the parts together; nothing runs yet and nothing is registered."""
        self.config = config
        self.events = outfit.events
        self.ledger = outfit.ledger
        self.ledger_id = outfit.ledger.ledger_id
        self.worker_id: WorkerId = new_worker_id()
        self.birth = birth_of_self()
        self.hub = HubLink()
        self.is_started = False
        self._leaving = threading.Lock()
        self.exit_code = 0  # of the process; see workers/fitness.py
        self._asked_at = 0.0
        self.has_been_ready = False
        self.broker_seen_at: float | None = None
        """Monotonic seconds; None until the broker answered once."""
        self._consumer: RingConsumer | None = None
        self._outfit = outfit
        self._clock = outfit.clock
        self.heir = self._new_heir()
        self._registration = self._new_registration()
        self._writer = LedgerWriter(
            outfit.ledger, on_unavailable=self._on_unavailable, disk=self._new_spool()
        )
        self._threads = DaemonThreads(config.threads, name="holdfast-handler")
        self._side = DaemonThreads(1, name="holdfast-side")
        self._threaded = threaded_of(outfit.registry, config.threads)
        self._rota = Rota(config.tenant_weights)
        self.gate = Gate(
            slots=config.slots,
            writer=self._writer,
            terms=self._terms,
            run=lambda attempt: self._executor.run(attempt),  # noqa: PLW0108 -- it is made after the gate
            events=outfit.events,
            clock=outfit.clock,
            on_room=self._on_room,
            on_stuffed=self._on_stuffed,
            threaded=self._threaded,
            isolated=isolated_of(outfit.registry, outfit.lane.wishes if outfit.lane is not None else None),
        )
        self.strays = Strays(outfit.adopter, outfit.events, self.gate.pass_on)
        self._executor = self._new_executor(outfit)
        self.loop = LoopThread(
            clock=outfit.clock,
            events=outfit.events,
            task_of=self._task_of,
            on_tick=outfit.companion.tick if outfit.companion is not None else bool,
        )
        self._heartbeat = self._new_heartbeat()
        self._probes = outfit.probes(self)
        self._keeper: asyncio.Task[None] | None = None
        self._services: list[ServiceThread] = []
        self._remnant_watch: asyncio.Task[None] | None = None
        self._rebirth = self._new_rebirth()
        self.drain = self._new_drain()
        self._abandoned: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Register, then beat, claim and serve.

        Raises LedgerError, SchemaMismatch or WorkerNameTaken: do not start.
        """
        self._probes.start()
        try:
            self._registration.enter(self.worker_id)
        except AskedToLeave:
            return
        self._writer.start()
        self.loop.start()
        self.loop.submit(self._start_on_loop()).result(timeout=10.0)
        self._heartbeat.start()
        self._services = self._outfit.services(self)
        for service in self._services:
            service.start()
        if self._outfit.intake is not None:
            self._outfit.intake.start()
        self.is_started = True
        config, tasks = self.config, len(self._outfit.registry)
        self.events.emit(
            WorkerStarted(worker_id=self.worker_id, name=config.name, slots=config.slots, tasks=tasks)
        )

    @property
    def is_draining(self) -> bool:
        """Tell whether it was asked to leave."""
        return self.drain.is_begun

    def begin_drain(self) -> None:
        """Claim nothing more; the grace begins. Idempotent, and safe in a signal handler."""
        if self._outfit.companion is not None:
            self._outfit.companion.note_leaving()
        self.drain.begin(is_running=self.is_started)

    def leave_by_itself(self, exit_code: int) -> None:
        """Leave as if asked by SIGTERM; on the loop or a service's thread."""
        # Who was asked to leave, and is on the way, does so with 0.
        self.exit_code = self.exit_code if self.is_draining else exit_code
        self.begin_drain()
        self._outfit.ask_to_stop(self.exit_code)

    def stop(self) -> None:
        """Let short work end within the grace, hand the rest back with its attempt, and leave."""
        self.begin_drain()
        if not self.is_started:
            # It failed to start, or was stopped before.
            self.loop.stop(CLEAN_UP_SECONDS)
            return
        self._finish(self.drain.wait())

    def _finish(self, handed_back: int) -> None:
        with self._leaving:
            if self.is_started:
                self.is_started = False
                self._stop_all(handed_back)

    def _grace_left(self) -> float:
        left = self._asked_at + self.config.grace_seconds - self._clock.monotonic()
        return 0.0 if self.drain.is_hurried else left

    def _stop_all(self, handed_back: int) -> None:
        if self._outfit.intake is not None:
            self._outfit.intake.stop()
        for service in self._services:
            service.stop()
        self._heartbeat.stop()
        if not self._writer.stop(max(CLEAN_UP_SECONDS, self._grace_left())):
            # By our companion, or an heir, before anybody frees its jobs (B16).
            self.drain.has_remnant.set()
        self._leave()
        self._outfit.doorbell.close()
        self.loop.stop(CLEAN_UP_SECONDS)
        self._threads.close()
        self._side.close()
        self.strays.close()
        self.events.emit(WorkerStopped(worker_id=self.worker_id, handed_back=handed_back))
        self._probes.stop()
        self._outfit.leave(self.exit_code)

    def cancel(self, job_id: str) -> None:
        """Ask the ledger to cancel a job, away from the calling thread."""
        self._side.submit(partial(self._cancel, JobId(job_id)))

    def on_connection_lost(self) -> None:
        """Forget rings that can no longer be acknowledged. On the hub's thread."""
        self.loop.call(partial(self.gate.forget_rings, self._clock.monotonic()))

    def on_broker_contact(self) -> None:
        """Note that the broker answered."""
        self.broker_seen_at = self._clock.monotonic()

    def on_ready(self, consumer: RingConsumer) -> None:
        """Note that the consumer consumes; called again after each reconnect."""
        self._consumer = consumer
        self.has_been_ready = True
        self.on_broker_contact()

    @property
    def ledger_seen_at(self) -> float:
        """Monotonic seconds of the last beat that the ledger took."""
        return self._heartbeat.last_at

    # Starting.

    def _new_executor(self, outfit: Outfit) -> Executor:
        config = self.config
        return Executor(
            registry=outfit.registry,
            writer=self._writer,
            threads=self._threads,
            port=WorkerPort(outfit.handlers or outfit.ledger, self._writer, find=self.gate.attempt_of),
            events=outfit.events,
            clock=outfit.clock,
            watcher=CeleryView(outfit.app, self.hub, hostname=config.name, cancel=self.cancel),
            on_abandoned=self._on_abandoned,
            on_want=self.gate.holds.starve,
            limits=config.limits,
            aids=outfit.aids,
        )

    def _terms(self) -> ClaimTerms:
        return terms_of(self.worker_id, self.config, self._outfit.registry, self._rota)

    def _new_registration(self) -> Registration:
        return Registration(
            self.config,
            self.birth,
            self._outfit.registry,
            ledger=self.ledger,
            heir=self.heir,
            has_lane=self._outfit.lane is not None,
            events=self.events,
            clock=self._clock,
            is_leaving=lambda: self.is_draining,
        )

    def _new_heir(self) -> Heir | None:
        folder = self._outfit.spool
        return None if folder is None else Heir(folder, prefix_of(self.ledger_id), events=self.events)

    def _new_spool(self) -> OutcomeSpool | None:
        folder, most = self._outfit.spool, self.config.spool_largest_bytes
        name = name_of(self.ledger_id, self.birth, self.worker_id)
        return (
            folder if folder is None else OutcomeSpool(folder, name, largest_bytes=most, events=self.events)
        )

    def _new_rebirth(self) -> Rebirth:
        return Rebirth(
            (self._register_again, self._work_again),
            leave=self.leave_by_itself,
            is_leaving=lambda: self.is_draining,
            events=self.events,
            pause_seconds=self.config.beat_seconds,
        )

    async def _start_on_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._outfit.companion is not None:
            self._outfit.companion.seats.watch(loop)
        if self._outfit.lane is not None:
            self._outfit.lane.on_room = self.gate.look_apart
        self.gate.start(loop)
        leave = partial(self.leave_by_itself, UNFIT)
        abandoned = AbandonedThreads(self.gate, self._threaded, events=self.events, leave=leave)
        self._abandoned = loop.create_task(abandoned.run(), name="abandoned threads")
        self._start_keeper()

    def _start_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        keeper = LeaseKeeper(
            worker_id=self.worker_id,
            gate=self.gate,
            writer=self._writer,
            events=self.events,
            patience_seconds=2 * self.config.beat_seconds,
        )
        self._keeper = asyncio.get_running_loop().create_task(keeper.run(), name="leases")

    def _new_heartbeat(self) -> Heartbeat | CompanionBeat:
        calls = BeatCalls(
            on_dead=lambda: self.loop.call(self._be_reborn),
            on_unsure=self._on_unsure,
            on_sure=lambda: self.loop.call(self.gate.resume),
        )
        clock, events = self._clock, self.events
        if self._outfit.companion is not None:
            return self._outfit.companion.heartbeat(self.worker_id, clock=clock, events=events, calls=calls)
        return Heartbeat(
            self._outfit.beats or self.ledger,
            self.worker_id,
            beat_seconds=self.config.beat_seconds,
            lease_seconds=self.config.lease_seconds,
            clock=clock,
            events=events,
            calls=calls,
        )

    # While it runs.

    def _task_of(self, job_id: str) -> str:
        attempt = self.gate.running.get(JobId(job_id))
        return attempt.claim.job.task if attempt is not None else ""

    def _on_room(self, has_room: bool) -> None:  # noqa: FBT001 -- a callback with one meaning
        # Also wakes the hub, or it would sleep on for up to a second.
        if has_room:
            self.hub.post(lambda: self._consumer.resume_rings() if self._consumer else None)

    def _on_stuffed(self) -> None:
        self.hub.post(lambda: self._consumer.pause_rings() if self._consumer else None)

    def _on_unavailable(self, error: Exception) -> None:
        del error
        self.gate.is_suspended = True

    def _on_unsure(self) -> None:
        self.gate.is_suspended = True
        if self._heartbeat.unsure_seconds > self.config.unsure_limit_seconds:
            self.loop.call(partial(self.gate.interrupt_all, Interrupt.LEASE_LOST))

    def _be_reborn(self) -> None:
        # Declared dead by an observer: what we hold belongs to others now.
        if self._keeper is not None:
            # It keeps the leases of the old one, and would let the gate claim for nobody.
            self._keeper.cancel()
        self.gate.is_suspended = True
        for attempt in tuple(self.gate.running.values()):
            self.gate.lose(attempt, where="declared dead")
        self.worker_id = new_worker_id()
        self._rebirth.begin(self.loop.loop)

    async def _register_again(self) -> None:
        # On a thread of its own: a worker that has our name by now is watched for up to a lease.
        await asyncio.wrap_future(self._side.submit(partial(self._registration.enter, self.worker_id)))

    async def _work_again(self) -> None:
        heartbeat = self._new_heartbeat()
        heartbeat.start()
        self._heartbeat = heartbeat
        self._start_keeper()
        self.gate.resume()

    def _on_abandoned(self, attempt: RunningAttempt, end_late: Coroutine[Any, Any, None]) -> None:
        # The handler outlived its hard limit: this process takes no new work until it has ended after
        # all, and leaves when everything else is done (B17).
        self.gate.outlive(attempt, end_late)
        if self._remnant_watch is None or self._remnant_watch.done():
            self._remnant_watch = self.loop.loop.create_task(self._leave_when_empty())

    async def _leave_when_empty(self) -> None:
        await self.gate.settle_down(None)
        if self.gate.holds.remnants:
            self.leave_by_itself(UNFIT)

    def _cancel(self, job_id: JobId) -> None:
        try:
            self.ledger.cancel(job_id, "revoked")
        except JobNotFound:
            return

    # Leaving.

    def _new_drain(self) -> Drain:
        return Drain(
            gate=self.gate,
            loop=self.loop,
            give_up=self._executor.give_up,
            on_begin=self._tell_drain,
            on_end=self._end_drain,
            on_late=self._finish,
            grace_seconds=self.config.grace_seconds,
        )

    def _tell_drain(self, running: int) -> None:
        grace = self.config.grace_seconds
        self._asked_at = self._clock.monotonic()
        self.events.emit(WorkerDraining(worker_id=self.worker_id, running=running, grace_seconds=grace))

    def _end_drain(self) -> None:
        for watch in (self._keeper, self._abandoned):
            if watch is not None:
                watch.cancel()
        if self._outfit.lane is not None:
            self._outfit.lane.close()

    def _leave(self) -> None:
        if self.drain.has_remnant.is_set():
            # Something of us still runs and keeps its lease; the process's death is noticed by others.
            return
        try:
            self.ledger.retire_worker(self.worker_id)
        except LedgerError:
            # Nobody is told; the missing beat says it.
            return
        if self._outfit.companion is not None:
            self._outfit.companion.leave(self.exit_code)
