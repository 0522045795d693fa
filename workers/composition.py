"""How a worker's parts are put together from the settings."""

import socket
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from math import ceil
from typing import Any, Final

from celery import Celery, signals
from kombu import Connection, Exchange, Queue

from holdfast import __version__, celeryconfig
from holdfast.health.broker import BrokerCheck
from holdfast.health.database import DatabaseCheck
from holdfast.health.reporter import Reporter
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import Events
from holdfast.jobs.rota import weights_of
from holdfast.ledger import Ledger, connect
from holdfast.monitoring.flower.composition import prepare_if_invoked, secrets_of
from holdfast.monitoring.levels import Levels
from holdfast.monitoring.logs import LogEvents, configure_logging
from holdfast.monitoring.metrics import Metrics
from holdfast.resilience.chaos import Injector
from holdfast.resilience.chaos_text import strategies_of
from holdfast.resilience.fleet import FLEET
from holdfast.resilience.release import Turnstile
from holdfast.resilience.sharing import share
from holdfast.resilience.turnstile import FleetTurnstile
from holdfast.settings import Settings
from holdfast.tasks import agents, ambient, health, results
from holdfast.tasks.agents.webhook.jobs import OUTBOUND
from holdfast.tasks.client import Client
from holdfast.tasks.doorbell import Doorbell
from holdfast.tasks.modules import load_modules, see_working_directory
from holdfast.tasks.outbound import AddressRules
from holdfast.tasks.registry import Registry, registry
from holdfast.workers.amqp_properties import guard_properties
from holdfast.workers.census import birth_of_self
from holdfast.workers.companion.beat import Companion
from holdfast.workers.companion.introduction import LifeTerms
from holdfast.workers.companion.link import link_of_this_process
from holdfast.workers.companion.seats import Seats
from holdfast.workers.config import WorkerConfig
from holdfast.workers.decompression import bound_decompression
from holdfast.workers.forwarding import forwarder
from holdfast.workers.headcount import Headcount
from holdfast.workers.intake import Adopter, Intake
from holdfast.workers.isolated.lane import Lane
from holdfast.workers.kept import said_of
from holdfast.workers.leaving import leave_for_certain
from holdfast.workers.node import HoldfastWorker
from holdfast.workers.outfit import Outfit
from holdfast.workers.probes import MetricsPage, Probes
from holdfast.workers.redis_channel import GuardedChannel
from holdfast.workers.ring_task import ring_task
from holdfast.workers.runtime import Runtime
from holdfast.workers.runtime_vitals import RuntimeVitals
from holdfast.workers.services.service import ServiceThread
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.heir import prefix_of
from holdfast.workers.stop_signals import ask_to_stop
from holdfast.workers.upkeep import EPOCH_SECONDS, services_of
from holdfast.workers.upstreams import FleetUpstreams
from holdfast.workers.vitals import VitalLimits

_LONGEST_ERROR: Final = 500
_MISSED_BEATS: Final = 3
_MISSED_LOOKS: Final = 4


class HoldfastApp(Celery):
    """Celery's application with the worker's parts in reach of our pool."""

    settings: Settings
    registry: Registry
    events_bus: Events
    ambient: ExitStack
    plain_queues: tuple[str, ...]

    @cached_property
    def Worker(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: N802 -- Celery's name for the class it starts
        """The class of worker programs of this application."""
        return self.subclass_with_self(HoldfastWorker)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, connected at the first use. Raises SchemaMismatch or LedgerUnavailable."""
        config = self.settings.ledger_config("holdfast-worker")
        # Frozen in the middle of a sweep, it keeps the sweep's rows from others no longer than its lease.
        return connect(replace(config, idle_transaction_seconds=ceil(self.settings.lease_seconds)))

    @cached_property
    def handlers_ledger(self) -> Ledger:
        """The same ledger for what handlers do: their waits for locks and connections hold up no claim."""
        return connect(self.settings.ledger_config("holdfast-handlers"))

    @cached_property
    def turnstile(self) -> Turnstile:
        """Who lets parked jobs through to their upstreams."""
        return FleetTurnstile(FLEET)

    def set_up_logging(self) -> None:
        """Log as a worker does; for processes that Celery does not start."""
        _set_up_logging(self.settings)

    def make_runtime(self, *, slots: int, hostname: str) -> Runtime:
        """Put one worker process together; called by the pool when a worker starts."""
        return _make_runtime(self, slots=slots, hostname=hostname)


def make_worker_app(settings: Settings) -> HoldfastApp:
    """Make the application: configuration, user modules, tasks. Connects to nothing."""
    app = HoldfastApp("holdfast", set_as_current=True)
    app.conf.update(celeryconfig.config(settings))
    app.settings = settings
    app.registry = registry
    app.plain_queues = (settings.names.health_queue, settings.names.plain_queue)
    app.events_bus = Events(LogEvents())
    signals.setup_logging.connect(partial(_set_up_logging, settings), weak=False)
    prepare_if_invoked(settings)
    app.ambient = ExitStack()
    load_modules([agents.__name__, *settings.task_modules])
    for task in registry:
        app.register_task(ring_task(task))
    results.use_ledger(lambda: app.ledger)
    health.register(app, lambda: app.ledger, queue=settings.names.health_queue)
    return app


def _make_runtime(app: HoldfastApp, *, slots: int, hostname: str) -> Runtime:
    see_working_directory()
    settings, events = app.settings, app.events_bus
    ledger, names = app.ledger, app.settings.names
    clock = SystemClock()
    broker = settings.broker()
    doorbell = Doorbell(
        app, ledger_id=ledger.ledger_id, queue_prefix=names.queue_prefix, quorum=broker.kind == "rabbitmq"
    )
    adopter = Adopter(
        ledger,
        doorbell,
        app.registry,
        adopts=settings.adopts,
        largest_bytes=settings.arguments_largest_bytes,
        largest_message_bytes=settings.message_largest_bytes,
        forward=forwarder(app, app.registry, names.plain_queue),
        events=events,
        source=hostname,
    )
    config = _worker_config(settings, slots=slots, hostname=hostname)
    lane = _lane(settings, events, clock)
    runtime = Runtime(
        config,
        Outfit(
            app=app,
            ledger=ledger,
            doorbell=doorbell,
            registry=app.registry,
            events=events,
            clock=clock,
            adopter=adopter,
            intake=_intake(app, adopter),
            services=partial(_services, app, doorbell, _headcount(settings, lane)),
            probes=lambda runtime: _probes(app, runtime),
            leave=leave_for_certain,
            ask_to_stop=ask_to_stop,
            companion=_companion(settings, hostname, ledger.ledger_id),
            beats=_beats(settings),
            handlers=app.handlers_ledger,
            lane=lane,
            spool=DiskFolder(settings.spool_path) if settings.spool_largest_bytes else None,
            upstreams=FleetUpstreams(FLEET),
        ),
    )
    _use_client(app, doorbell)
    for one in (ledger, app.handlers_ledger):
        one.children.ring = one.concurrency.ring = doorbell.ring
    _share_upstreams(app)
    guard_properties()
    bound_decompression(settings.message_largest_bytes)
    GuardedChannel.largest_bytes = settings.message_largest_bytes
    GuardedChannel.on_unreadable = lambda queue, raw, error: runtime.strays.put_bytes_aside(
        queue, raw, said_of(error)[:_LONGEST_ERROR]
    )
    return runtime


def _use_client(app: HoldfastApp, doorbell: Doorbell) -> None:
    # Handlers enqueue and read through the same client as any producer.
    client = Client(
        app.handlers_ledger,
        doorbell,
        events=app.events_bus,
        registry=app.registry,
        arguments_largest_bytes=app.settings.arguments_largest_bytes,
    )
    app.ambient.enter_context(ambient.use(client))


def _share_upstreams(app: HoldfastApp) -> None:
    # Before the first call: a breaker that others have opened is not to be learned of by calling.
    FLEET.events = app.events_bus
    share(app.settings.shared_state(), namespace=app.settings.namespace)
    FLEET.warm_up()
    if strategies := strategies_of(app.settings.chaos):
        FLEET.strike_by(Injector(strategies))
    OUTBOUND.rules = AddressRules.of(app.settings.webhook_allowed_networks)


def _worker_config(settings: Settings, *, slots: int, hostname: str) -> WorkerConfig:
    return WorkerConfig(
        name=hostname,
        version=__version__,
        host=socket.gethostname(),
        queues=settings.queues,
        slots=slots,
        threads=settings.worker_threads,
        ring_window=settings.worker_ring_window,
        beat_seconds=settings.beat_seconds,
        lease_seconds=settings.lease_seconds,
        unsure_limit_seconds=settings.unsure_limit_seconds,
        grace_seconds=settings.shutdown_grace_seconds,
        soft_timeout_seconds=settings.soft_timeout_seconds,
        hard_timeout_seconds=settings.hard_timeout_seconds,
        result_largest_bytes=settings.result_largest_bytes,
        arguments_largest_bytes=settings.arguments_largest_bytes,
        reconnect_longest_seconds=settings.broker_reconnect_longest_seconds,
        spool_largest_bytes=settings.spool_largest_bytes,
        memory_limit_mb=settings.worker_memory_limit_mb,
        tenant_weights=weights_of(settings.tenant_weights),
    )


def _beats(settings: Settings) -> Ledger:
    config = settings.ledger_config("holdfast-beat")
    return Ledger(replace(config, pool_size=1, pool_overflow=1))


def _companion(settings: Settings, name: str, ledger_id: str) -> Companion | None:
    link = link_of_this_process()
    if link is None:
        return None
    terms = LifeTerms(
        name=name,
        spool=str(settings.spool_path),
        spool_prefix=prefix_of(ledger_id, birth_of_self()),
        beat_seconds=settings.beat_seconds,
        lease_seconds=settings.lease_seconds,
        stall_seconds=settings.loop_stall_limit_seconds,
        log_as_json=_logs_as_json(settings),
        log_level=settings.log_level,
        ledger=settings.ledger_config(),
    )
    return Companion(link, terms, Seats(link.page))


def _lane(settings: Settings, events: Events, clock: SystemClock) -> Lane | None:
    if not settings.worker_isolated_processes:
        return None
    return Lane(
        processes=settings.worker_isolated_processes,
        memory_mb=settings.worker_isolated_memory_mb,
        events=events,
        monotonic=clock.monotonic,
    )


def _services(
    app: HoldfastApp, doorbell: Doorbell, headcount: Headcount, runtime: Runtime
) -> list[ServiceThread]:
    return services_of(
        app.settings,
        runtime,
        app=app,
        ledger=app.ledger,
        doorbell=doorbell,
        registry=app.registry,
        turnstile=app.turnstile,
        on_count=headcount.note,
    )


def _headcount(settings: Settings, lane: Lane | None) -> Headcount:
    headcount = Headcount(
        isolated=lambda: 0 if lane is None else lane.in_use, most_isolated=settings.worker_isolated_processes
    )
    FLEET.processes = headcount.of_worker
    if lane is not None:
        lane.count_callers = headcount.of_isolated
    return headcount


def _intake(app: HoldfastApp, adopter: Adopter) -> Intake:
    name = app.settings.names.intake_queue

    def open_connection() -> Connection:
        # Durable acknowledgement, which outlives this process; and guarded, as the rings' transport is.
        url: str = app.conf.broker_read_url
        intake = url.replace(celeryconfig.READING_SCHEME, celeryconfig.INTAKE_SCHEME, 1)
        # Celery asks for none here, and a RabbitMQ that is gone without a word would never be missed.
        return app.connection_for_read(intake, heartbeat=app.settings.broker_heartbeat_seconds)

    return Intake(
        open_connection, Queue(name, Exchange(""), routing_key=name), adopter, events=app.events_bus
    )


def _set_up_logging(settings: Settings, **_: object) -> None:
    # A receiver of this signal is what makes Celery leave logging alone.
    configure_logging(as_json=_logs_as_json(settings), level=settings.log_level, secrets=secrets_of(settings))


def _logs_as_json(settings: Settings) -> bool:
    is_terminal = bool(sys.stderr.isatty())
    return settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)


def _probes(app: HoldfastApp, runtime: Runtime) -> Probes:
    settings, clock = app.settings, SystemClock()
    reporter = Reporter(
        [
            DatabaseCheck(lambda: app.ledger),
            BrokerCheck(app, timeout_seconds=settings.health_timeout_seconds),
        ],
        deadline_seconds=settings.health_timeout_seconds,
        fresh_seconds=settings.health_cache_seconds,
        clock=clock,
    )
    return Probes(
        RuntimeVitals(runtime, reporter.report, clock),
        limits=VitalLimits(
            loop_seconds=settings.loop_stall_limit_seconds,
            broker_seconds=_MISSED_LOOKS * EPOCH_SECONDS,
            ledger_seconds=_MISSED_BEATS * settings.beat_seconds + settings.database_connect_timeout_seconds,
        ),
        host=settings.probe_host,
        port=settings.probe_port,
        heartbeat_file=settings.heartbeat_path,
        metrics=_metrics(app, runtime) if settings.metrics_enabled else None,
    )


def _metrics(app: HoldfastApp, runtime: Runtime) -> MetricsPage:
    def levels() -> Levels:
        running = len(runtime.gate.running)
        return Levels(runtime.gate.slots, running, app.ledger.counts(), app.ledger.parked_groups())

    metrics = Metrics(levels)
    app.events_bus.add(metrics)
    return metrics.page
