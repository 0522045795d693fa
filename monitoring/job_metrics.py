"""What is counted of jobs and their attempts."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from holdfast.jobs import events
from holdfast.jobs.outcome import UPSTREAM
from holdfast.jobs.state import QuarantineReason
from holdfast.monitoring.instruments import Handlers, Instruments
from holdfast.monitoring.labels import OTHER, BoundedLabels

LENGTH_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
WAIT_BUCKETS: Final = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14400)

_JOB: Final = ("task", "queue")
_REASONS: Final = frozenset(QuarantineReason)


def job_handlers(registry: CollectorRegistry, bounded: BoundedLabels) -> Handlers:
    """Make the metrics and say what each event adds to them."""
    make = Instruments(registry)

    def per_job(name: str, text: str) -> Callable[[events.JobEvent], None]:
        counter = make.counter(name, text, *_JOB)
        return lambda event: _of_job(counter, event, bounded).inc()

    rescued = make.counter("jobs_rescued", "Jobs taken back from gone workers", *_JOB, "state")
    abandoned = make.counter("handlers_abandoned", "Handlers that run on and cannot be ended", *_JOB, "why")
    return {
        events.JobEnqueued: _enqueued(make, bounded),
        events.JobsRefused: _refused(make, bounded),
        events.JobAdopted: per_job("jobs_adopted", "Jobs taken from plain Celery producers"),
        events.JobClaimed: _claimed(make, bounded),
        events.JobSettled: _settled(make, bounded),
        events.JobParked: _parked(make, bounded),
        events.JobReleased: _released(make, bounded),
        events.JobHandedBack: per_job("jobs_handed_back", "Jobs given back unfinished"),
        events.LeaseWasLost: per_job("leases_lost", "Attempts that found their lease gone"),
        events.HandlerAbandoned: lambda event: abandoned.labels(*_names(event, bounded), event.why).inc(),
        events.JobRescued: lambda event: rescued.labels(*_names(event, bounded), event.state).inc(),
        events.JobExpired: per_job("jobs_expired", "Jobs that passed their deadline or total age"),
        events.JobHasNoOffer: per_job("jobs_without_offer", "Times a job was found waiting for a worker"),
    }


def _enqueued(make: Instruments, bounded: BoundedLabels) -> Callable[[events.JobEnqueued], None]:
    created = make.counter("jobs_enqueued", "Jobs written by enqueue", *_JOB)
    known = make.counter("jobs_known", "Enqueues whose key was known", *_JOB)
    return lambda event: _of_job(created if event.created else known, event, bounded).inc()


def _refused(make: Instruments, bounded: BoundedLabels) -> Callable[[events.JobsRefused], None]:
    refused = make.counter("jobs_refused", "New jobs that a full queue did not take", *_JOB, "job_class")

    def count(event: events.JobsRefused) -> None:
        names = bounded("task", event.task), bounded("queue", event.queue)
        refused.labels(*names, event.job_class).inc(event.asked)

    return count


def _claimed(make: Instruments, bounded: BoundedLabels) -> Callable[[events.JobClaimed], None]:
    started = make.counter("attempts_started", "Attempts begun", *_JOB)
    waited = make.histogram("job_wait_seconds", "From due to claimed", WAIT_BUCKETS, *_JOB)

    def count(event: events.JobClaimed) -> None:
        _of_job(started, event, bounded).inc()
        waited.labels(*_names(event, bounded)).observe(max(0.0, event.waited_seconds))

    return count


def _settled(make: Instruments, bounded: BoundedLabels) -> Callable[[events.JobSettled], None]:
    ended = make.counter("attempts_settled", "Attempts ended", *_JOB, "outcome", "state", "reason")
    lasted = make.histogram("attempt_seconds", "Length of an attempt", LENGTH_BUCKETS, *_JOB, "outcome")

    def count(event: events.JobSettled) -> None:
        # A reason may be anybody's free text; only our own words are fit for a label.
        reason = event.reason if event.reason in _REASONS else OTHER if event.reason else ""
        names = _names(event, bounded)
        ended.labels(*names, event.outcome, event.state, reason).inc()
        lasted.labels(*names, event.outcome).observe(max(0.0, event.seconds))

    return count


def _parked(make: Instruments, bounded: BoundedLabels) -> Callable[[events.JobParked], None]:
    parked = make.counter("jobs_parked", "Jobs that began to wait for an upstream", *_JOB, "upstream")

    def count(event: events.JobParked) -> None:
        # An approval may be named after its job: only upstreams are few enough for a label.
        is_few = event.waiting_for.startswith(UPSTREAM)
        name = bounded("upstream", event.waiting_for.removeprefix(UPSTREAM)) if is_few else OTHER
        parked.labels(*_names(event, bounded), name).inc()

    return count


def _released(make: Instruments, bounded: BoundedLabels) -> Callable[[events.JobReleased], None]:
    released = make.counter("jobs_released", "Parked jobs that may go on", *_JOB, "upstream")
    waited = make.histogram("parked_seconds", "From parked to released", WAIT_BUCKETS, "upstream")

    def count(event: events.JobReleased) -> None:
        upstream = bounded("upstream", event.upstream)
        released.labels(*_names(event, bounded), upstream).inc()
        waited.labels(upstream).observe(max(0.0, event.waited_seconds))

    return count


def _of_job(counter: Counter, event: events.JobEvent, bounded: BoundedLabels) -> Counter:
    return counter.labels(*_names(event, bounded))


def _names(event: events.JobEvent, bounded: BoundedLabels) -> tuple[str, str]:
    return bounded("task", event.task), bounded("queue", event.queue)
