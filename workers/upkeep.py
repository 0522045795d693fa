"""How the services are put together that keep a worker, and the ledger, in order."""

from collections.abc import Callable
from typing import Final

from celery import Celery

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.retention import RetentionPolicy
from holdfast.ledger import Ledger
from holdfast.resilience.release import Turnstile
from holdfast.settings import Settings
from holdfast.tasks.doorbell import Doorbell
from holdfast.tasks.registry import Registry
from holdfast.workers.runtime import Runtime
from holdfast.workers.services.epoch import EpochWatch, QueueWitness, RedisWitness, Witness
from holdfast.workers.services.fitness import FitnessWatch
from holdfast.workers.services.leader import Leadership
from holdfast.workers.services.parents import Parents
from holdfast.workers.services.pruner import Pruner
from holdfast.workers.services.releaser import Releaser
from holdfast.workers.services.rescuer import Expirer, Rescuer
from holdfast.workers.services.scheduler import Declaration, Scheduler
from holdfast.workers.services.service import Service, ServiceThread
from holdfast.workers.services.stager import Stager
from holdfast.workers.services.turns import Turns
from holdfast.workers.services.undertaker import Undertaker

EPOCH_SECONDS: Final = 5.0
_SWEEPS_PER_LEASE: Final = 4


def services_of(
    settings: Settings,
    runtime: Runtime,
    *,
    app: Celery,
    ledger: Ledger,
    doorbell: Doorbell,
    registry: Registry,
    turnstile: Turnstile,
    on_count: Callable[[int], object],
) -> list[ServiceThread]:
    """Make the services of one worker, on threads that do not wait for each other.

    `on_count` is told how many workers live, whenever one of them has looked.
    """
    events, clock = runtime.events, SystemClock()

    def self_id() -> WorkerId:
        return runtime.worker_id

    def lead() -> Leadership:
        return Leadership(ledger, "maintenance", self_id, seconds=settings.leader_seconds, clock=clock)

    def thread(name: str, services: list[Service], leads: Callable[[], bool]) -> ServiceThread:
        return ServiceThread(name, services, leads=leads, events=events, clock=clock)

    watch = EpochWatch(
        app,
        ledger,
        _witness(settings, ledger.ledger_id),
        events=events,
        on_contact=runtime.on_broker_contact,
        pause_seconds=EPOCH_SECONDS,
    )
    releaser = Releaser(
        ledger,
        turnstile,
        doorbell.ring,
        events=events,
        clock=clock,
        sweep_seconds=settings.sweep_seconds,
        batch=settings.maintenance_batch,
    )
    undertaker = _undertaker(settings, runtime, ledger, on_count)
    declaration = _declaration(settings, runtime, ledger, registry)
    led = [
        _rescuer(settings, runtime, ledger, releaser),
        *_maintenance(settings, runtime, ledger, doorbell, lambda: watch.current),
    ]
    return [
        thread("holdfast-fitness", [_fitness(runtime)], lambda: True),
        thread("holdfast-maintenance", led, lead()),
        # By itself: a ramp goes by tenths of a second, and a sweep of the others may take longer.
        thread("holdfast-releaser", [releaser], lead()),
        # By itself, too: ticks go by the second.
        thread("holdfast-scheduler", [_scheduler(settings, runtime, ledger, doorbell)], lead()),
        thread("holdfast-undertaker", [undertaker, declaration], lambda: True),
        thread("holdfast-epoch", [watch], lambda: True),
    ]


def _undertaker(
    settings: Settings, runtime: Runtime, ledger: Ledger, on_count: Callable[[int], object]
) -> Undertaker:
    return Undertaker(
        ledger,
        runtime.birth,
        lambda: runtime.worker_id,
        events=runtime.events,
        pause_seconds=settings.beat_seconds,
        heir=runtime.heir,
        on_count=on_count,
    )


def _rescuer(settings: Settings, runtime: Runtime, ledger: Ledger, releaser: Releaser) -> Rescuer:
    return Rescuer(
        ledger,
        releaser.give_back,
        events=runtime.events,
        pause_seconds=settings.sweep_seconds,
        batch=settings.maintenance_batch,
    )


def _maintenance(
    settings: Settings, runtime: Runtime, ledger: Ledger, doorbell: Doorbell, epoch: Callable[[], str | None]
) -> list[Service]:
    sweep, batch, events = settings.sweep_seconds, settings.maintenance_batch, runtime.events
    return [
        Stager(ledger, doorbell.ring, epoch=epoch, events=events, pause_seconds=sweep, batch=batch),
        Parents(ledger, pause_seconds=sweep, batch=batch),
        Turns(ledger, pause_seconds=sweep, batch=batch),
        Expirer(
            ledger,
            events=events,
            no_offer_seconds=settings.no_offer_quarantine_seconds,
            pause_seconds=settings.lease_seconds / _SWEEPS_PER_LEASE,
            batch=batch,
        ),
        Pruner(ledger, _retention(settings), pause_seconds=settings.prune_pause_seconds, batch=batch),
    ]


def _scheduler(settings: Settings, runtime: Runtime, ledger: Ledger, doorbell: Doorbell) -> Scheduler:
    return Scheduler(
        ledger,
        doorbell.ring,
        events=runtime.events,
        clock=SystemClock(),
        pause_seconds=settings.sweep_seconds,
        batch=settings.maintenance_batch,
    )


def _declaration(settings: Settings, runtime: Runtime, ledger: Ledger, registry: Registry) -> Declaration:
    return Declaration(
        ledger,
        registry.schedules(),
        release=settings.release,
        tasks=registry.names(),
        events=runtime.events,
        pause_seconds=settings.sweep_seconds,
    )


def _retention(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy.of(
        settings.retention,
        completed_seconds=settings.completed_retention_seconds,
        quarantined_seconds=settings.quarantined_retention_seconds,
    )


def _fitness(runtime: Runtime) -> FitnessWatch:
    return FitnessWatch(
        runtime,
        memory_limit_mb=runtime.config.memory_limit_mb,
        unsure_limit_seconds=runtime.config.unsure_limit_seconds,
        events=runtime.events,
        clock=SystemClock(),
    )


def _witness(settings: Settings, ledger_id: str) -> Witness:
    if settings.broker().kind == "rabbitmq":
        return QueueWitness(settings.names.queue(f"epoch.{ledger_id}."))
    return RedisWitness(settings.names.redis_key("epoch", ledger_id))
