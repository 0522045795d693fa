"""A worker process: the production runtime and services between a simulated broker and the real ledger."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from celery import Celery

from holdfast.jobs.events import Event, Events
from holdfast.jobs.ids import JobId
from holdfast.jobs.retention import RetentionPolicy
from holdfast.tests.simulation.broker import Bell, Broker, EpochLine, Link, Message
from holdfast.tests.simulation.database import NOON
from holdfast.tests.simulation.fibers import Kernel, Process
from holdfast.tests.simulation.parts import REGISTRY
from holdfast.tests.simulation.shelf import Shelf
from holdfast.tests.simulation.upstream import Upstream
from holdfast.workers.config import WorkerConfig
from holdfast.workers.outfit import Outfit
from holdfast.workers.runtime import Runtime
from holdfast.workers.services.epoch import EpochWatch
from holdfast.workers.services.leader import Leadership
from holdfast.workers.services.parents import Parents
from holdfast.workers.services.pruner import Pruner
from holdfast.workers.services.releaser import Releaser
from holdfast.workers.services.rescuer import Expirer, Rescuer
from holdfast.workers.services.service import ServiceThread
from holdfast.workers.services.stager import Stager
from holdfast.workers.services.turns import Turns
from holdfast.workers.services.undertaker import Undertaker
from holdfast.workers.tickets import RingTicket

BEAT_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 8.0
SLOTS: Final = 4
_SWEEP_SECONDS: Final = 1.0
_BATCH: Final = 50
_DAY_SECONDS: Final = 86_400.0
_APP: Final = Celery("simulation", set_as_current=False)


class NodeClock:
    """The simulation's time, as a process reads it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._kernel.now)

    def monotonic(self) -> float:
        return self._kernel.now


class Nothing:
    """Stands for the parts that have no say in the protocol."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""


class Node:
    """The main thread of a worker: Celery's part of it."""

    def __init__(
        self, kernel: Kernel, broker: Broker, ledger: Any, shelf: Shelf, upstream: Upstream, *,
        name: str, unsure_limit_seconds: float,
        on_event: Callable[[Event], object], on_ack: Callable[[Process, JobId, str], object],
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.fiber = kernel.here()
        self.process = self.fiber.process
        self.is_asked_to_leave = False
        self._broker = broker
        self._events = Events(on_event)
        self._on_ack = on_ack
        self._clock = NodeClock(kernel)
        self._work: deque[Callable[[], object]] = deque()
        self._is_consuming = True
        self._is_resting = False
        self._ledger = ledger
        self._shelf = shelf
        self._upstream = upstream
        self._bell = Bell(broker, self.process)
        self.runtime = Runtime(_config(name, unsure_limit_seconds), self._outfit())

    def start(self) -> None:
        """Be ready. Raises LedgerError."""
        self.runtime.start()
        self.runtime.hub.attach(self)
        self.runtime.on_ready(self)
        self._connect()

    def work(self) -> None:
        """Work until asked to leave, and leave."""
        while not self.is_asked_to_leave:
            self._turn()
        self.disconnect()
        self.runtime.hub.detach()
        self.runtime.stop()

    def disconnect(self) -> None:
        """Be gone for the broker; a second time does nothing."""
        self._broker.leave(self._link)

    def leave(self) -> None:
        """SIGTERM."""
        self.is_asked_to_leave = True
        self.runtime.begin_drain()
        self._wake()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Be the hub."""
        self._work.append(callback)
        self._wake()

    def pause_rings(self) -> None:
        """Be the consumer."""
        self._is_consuming = False

    def resume_rings(self) -> None:
        """Be the consumer."""
        self._is_consuming = True

    def _connect(self) -> None:
        self._link = self._broker.connect(self.process, self._wake, partial(self.call_soon, self._reconnect))

    def _reconnect(self) -> None:
        self.runtime.on_connection_lost()
        self._connect()

    def _wake(self) -> None:
        if self._is_resting:
            self.kernel.wake(self.fiber)

    def _turn(self) -> None:
        while self._work:
            self._work.popleft()()
        while self._is_consuming and self.runtime.gate.has_room() and not self._work:
            message = self._broker.take(self._link)
            if message is None:
                break
            self.runtime.gate.offer(self._ticket(message))
        if not self._work and not self.is_asked_to_leave:
            self._is_resting = True
            self.kernel.park()
            self._is_resting = False

    def _ticket(self, message: Message) -> RingTicket:
        link, hub = self._link, self.runtime.hub
        ticket = RingTicket(
            message.job_id,
            self.kernel.now,
            ack=lambda: hub.post(lambda: self._ack(link, message, ticket.token)),
            requeue=lambda: hub.post(lambda: self._broker.requeue(link, message)),
        )
        return ticket

    def _ack(self, link: Link, message: Message, token: str) -> None:
        if self._broker.ack(link, message):
            self._on_ack(self.process, message.job_id, token)

    def _outfit(self) -> Outfit:
        nothing: Any = Nothing()
        bell: Any = self._bell
        return Outfit(
            app=_APP,
            ledger=self._ledger,
            doorbell=bell,
            registry=REGISTRY,
            events=self._events,
            clock=self._clock,
            adopter=nothing,
            intake=None,
            services=self._services,
            probes=lambda _: nothing,
            spool=self._shelf,
            ask_to_stop=lambda _: self.leave(),
        )

    def _services(self, runtime: Runtime) -> list[ServiceThread]:
        ledger, events, clock = self._ledger, self._events, self._clock
        line: Any = EpochLine(self._broker)
        watch = EpochWatch(
            line, ledger, line, events=events, on_contact=runtime.on_broker_contact, pause_seconds=5.0
        )

        def lead() -> Leadership:
            return Leadership(ledger, "maintenance", lambda: runtime.worker_id, seconds=9.0, clock=clock)

        releaser = Releaser(
            ledger, self._upstream, self._bell.ring, events=events, clock=clock,
            sweep_seconds=_SWEEP_SECONDS, batch=_BATCH,
        )  # fmt: skip
        led = [
            Stager(
                ledger, self._bell.ring, epoch=lambda: watch.current, events=events,
                pause_seconds=_SWEEP_SECONDS, batch=_BATCH,
            ),
            Rescuer(
                ledger, releaser.give_back, events=events, pause_seconds=_SWEEP_SECONDS, batch=_BATCH
            ),
            Turns(ledger, pause_seconds=_SWEEP_SECONDS, batch=_BATCH),
            Parents(ledger, pause_seconds=_SWEEP_SECONDS, batch=_BATCH),
            Expirer(
                ledger, events=events, no_offer_seconds=6.0, pause_seconds=LEASE_SECONDS / 4, batch=_BATCH
            ),
            Pruner(
                ledger,
                RetentionPolicy.plain(_DAY_SECONDS, _DAY_SECONDS),
                pause_seconds=60.0, batch=_BATCH,
            ),
        ]  # fmt: skip
        undertaker = Undertaker(
            ledger, runtime.birth, lambda: runtime.worker_id, events=events, pause_seconds=BEAT_SECONDS,
            heir=runtime.heir,
        )  # fmt: skip
        return [
            ServiceThread("maintenance", led, leads=lead(), events=events, clock=clock),
            ServiceThread("releaser", [releaser], leads=lead(), events=events, clock=clock),
            ServiceThread("undertaker", [undertaker], leads=lambda: True, events=events, clock=clock),
            ServiceThread("epoch", [watch], leads=lambda: True, events=events, clock=clock),
        ]


def _config(name: str, unsure_limit_seconds: float) -> WorkerConfig:
    return WorkerConfig(
        name=name,
        version="1",
        host="simulated",
        queues=("default",),
        slots=SLOTS,
        threads=1,
        ring_window=8,
        beat_seconds=BEAT_SECONDS,
        lease_seconds=LEASE_SECONDS,
        unsure_limit_seconds=unsure_limit_seconds,
        grace_seconds=1.0,
        soft_timeout_seconds=None,
        hard_timeout_seconds=3600.0,
        result_largest_bytes=1024,
        arguments_largest_bytes=1024,
        reconnect_longest_seconds=1.0,
        spool_largest_bytes=1024**2,
    )
