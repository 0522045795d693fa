"""What is counted of workers, rings and services."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from holdfast.jobs import events, ring_events, schedule_events
from holdfast.monitoring.instruments import Handlers, Instruments
from holdfast.monitoring.labels import BoundedLabels


def worker_handlers(registry: CollectorRegistry, bounded: BoundedLabels) -> Handlers:
    """Make the metrics and say what each event adds to them."""
    make = Instruments(registry)
    dropped = make.counter("rings_dropped", "Rings that named nothing to run", "reason")
    turned = make.counter("rings_turned", "Rings that brought another job than they named")
    sent = make.counter("rings_sent", "Rings sent by the stager")
    staged = make.counter("jobs_staged", "Scheduled jobs that became available")
    ticks = make.counter("schedule_ticks", "Ticks of schedules that became jobs")
    left_out = make.counter("schedule_ticks_left_out", "Times missed ticks of a schedule were left out")
    messages = make.counter("messages_quarantined", "Messages that are no jobs", "queue", "reason")
    dead = make.counter("workers_declared_dead", "Workers that stopped beating")
    unsure = make.counter("lease_unsure", "Times the ledger was out of reach for a beat")
    away = make.counter("lease_unsure_seconds", "Seconds the ledger was out of reach")
    spooled = make.counter("outcomes_spooled", "Times outcomes began to wait on disk for the ledger")
    unusable = make.counter("spool_failures", "Times the spool could not be written")
    replayed = make.counter("spool_replayed", "Outcomes of dead processes that were settled from disk")
    twins = make.counter("twins_watched", "Times a worker found its name in use when it started")
    epochs = make.counter("broker_epochs", "Times the broker had lost its data")
    failures = make.counter("service_failures", "Errors of background services", "service")

    def quarantined(event: events.MessageQuarantined) -> None:
        messages.labels(bounded("queue", event.queue), bounded("reason", event.reason)).inc()

    return {
        ring_events.RingTurned: lambda _event: turned.inc(),
        ring_events.RingDropped: lambda event: dropped.labels(bounded("why", event.why)).inc(),
        ring_events.RingsSent: lambda event: sent.inc(event.count),
        events.JobsStaged: lambda event: staged.inc(event.count),
        schedule_events.TicksFired: lambda event: ticks.inc(event.count),
        schedule_events.TicksLeftOut: lambda _event: left_out.inc(),
        events.MessageQuarantined: quarantined,
        events.WorkerDeclaredDead: lambda _event: dead.inc(),
        events.LeaseUnsure: lambda _event: unsure.inc(),
        events.LeaseSure: lambda event: away.inc(max(0.0, event.away_seconds)),
        events.OutcomesSpooled: lambda _event: spooled.inc(),
        events.SpoolUnusable: lambda _event: unusable.inc(),
        events.SpoolReplayed: lambda event: replayed.inc(event.count),
        events.TwinWatched: lambda _event: twins.inc(),
        events.LoopBlocked: _blocked(make, bounded),
        events.EpochChanged: lambda _event: epochs.inc(),
        events.ServiceFailed: lambda event: failures.labels(bounded("service", event.service)).inc(),
    }


def _blocked(make: Instruments, bounded: BoundedLabels) -> Callable[[events.LoopBlocked], None]:
    times = make.counter("loop_blocked", "Times the event loop stood still", "task")
    seconds = make.counter("loop_blocked_seconds", "Seconds the event loop stood still", "task")

    def count(event: events.LoopBlocked) -> None:
        task = bounded("task", event.task)
        times.labels(task).inc()
        seconds.labels(task).inc(max(0.0, event.seconds))

    return count
