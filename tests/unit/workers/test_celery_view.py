"""What Celery's world is told of our jobs: the truth, and nothing secret."""

import contextvars
from contextlib import contextmanager

import pytest
from celery import Celery, signals
from celery.worker import state as worker_state

from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Claim, Job, Settled
from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.tests.support.bench import NOON
from holdfast.tests.support.builders import a_lease
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.celery_view import CeleryView, RequestStack

SECRET = "sk-hunter2-hunter2"
FAILURE = Failure(type="ValueError", message=f"it broke: {SECRET}", traceback="Traceback")
TASK = "tests.seen"


class StandInHub:
    """Does at once what is posted, and keeps the worker events."""

    def __init__(self):
        self.sent = []

    def post(self, work):
        work()

    def send_event(self, kind, **fields):
        self.sent.append((kind, fields))


@pytest.fixture
def app():
    """An app that knows our task the way the worker's does."""
    made = Celery("seen", set_as_current=False)

    @made.task(name=TASK, shared=False)
    def seen():
        return None

    made.finalize()
    made.tasks[TASK].request_stack = RequestStack()
    return made


@pytest.fixture
def view(app):
    """A view, the hub behind it, and what it cancelled."""
    hub, cancelled = StandInHub(), []
    made = CeleryView(app, hub, hostname="celery@here", cancel=cancelled.append)
    made.hub, made.cancelled = hub, cancelled
    yield made
    worker_state.reset_state()


def an_attempt(task=TASK, **fields):
    """A running attempt of a job with secret arguments."""
    lease = a_lease(attempt=2)
    job = Job(
        id=lease.job_id, task=task, version="1", queue="default", state=JobState.RUNNING,
        arguments=f'{{"api_key":"{SECRET}"}}', created_at=NOON, run_at=NOON, trace="00-ab-cd-01", **fields,
    )  # fmt: skip
    return RunningAttempt(Claim(lease, job), 0.0)


ENDS = [
    (Completed(f'"{SECRET}"'), JobState.COMPLETED, "task-succeeded", "task_success"),
    (Retry(1.0, FAILURE), JobState.SCHEDULED, "task-retried", "task_retry"),
    (Snooze(1.0), JobState.SCHEDULED, "task-retried", "task_retry"),
    (Park("x"), JobState.PARKED, "task-retried", "task_retry"),
    (Quarantine(QuarantineReason.PERMANENT, FAILURE), JobState.QUARANTINED, "task-failed", "task_failure"),
    (Quarantine(QuarantineReason.POISON), JobState.QUARANTINED, "task-failed", "task_failure"),
    (Cancel("enough"), JobState.CANCELLED, "task-revoked", "task_revoked"),
    (None, JobState.AVAILABLE, "task-retried", None),
]
OUTCOME_SIGNALS = ("task_success", "task_retry", "task_failure", "task_revoked")


@contextmanager
def listening():
    """Hear every signal of a task."""
    heard, receivers = [], []
    for name in ("task_prerun", "task_postrun", *OUTCOME_SIGNALS):

        def receive(sender, name=name, **fields):
            heard.append((name, fields))

        receivers.append((name, receive))
        getattr(signals, name).connect(receive, weak=False)
    try:
        yield heard
    finally:
        for name, receive in receivers:
            getattr(signals, name).disconnect(receive)


@pytest.mark.parametrize(("result", "state", "kind", "signal"), ENDS)
def test_each_end_is_told_as_what_it_is(view, result, state, kind, signal):
    """One word at the start and one at the end, to signals and to watchers.

    No argument, result or message of ours.
    """
    attempt = an_attempt()
    with listening() as heard:
        view.started(attempt)
        view.ended(attempt, result, Settled(attempt.lease, state), 1.5)
    assert ["task-received", "task-started", kind] == [name for name, _ in view.hub.sent]
    assert ["task_prerun", *([signal] if signal else []), "task_postrun"] == [name for name, _ in heard]
    assert state.value == heard[-1][1]["state"]
    assert {str(attempt.lease.job_id)} == {fields["uuid"] for _, fields in view.hub.sent}
    assert SECRET not in repr(view.hub.sent)


def test_a_lost_lease_is_no_end(view):
    """Another worker has the job and tells its end: no outcome signal is sent."""
    attempt = an_attempt()
    with listening() as heard:
        view.started(attempt)
        view.ended(attempt, None, None, 1.5)
    assert ["task_prerun", "task_postrun"] == [name for name, _ in heard]
    assert ("IGNORED", "task-retried") == (heard[-1][1]["state"], view.hub.sent[-1][0])


def test_a_failure_carries_a_real_exception_info(view):
    """OpenTelemetry writes its exception event only for one."""
    attempt = an_attempt()
    with listening() as heard:
        view.started(attempt)
        settled = Settled(attempt.lease, JobState.QUARANTINED)
        view.ended(attempt, Quarantine(QuarantineReason.PERMANENT, FAILURE), settled, 1.0)
    fields = dict(heard)["task_failure"]
    assert "ValueError" in str(fields["exception"])
    assert fields["einfo"].exception is fields["exception"]
    assert fields["traceback"] is not None


def test_instrumentation_finds_the_request(view, app):
    """While the handler runs `task.request` is the job's, trace parent included.

    In the job's own context only.
    """
    attempt = an_attempt()

    def run():
        view.started(attempt)
        request = app.tasks[TASK].request
        assert (attempt.lease.job_id, "celery@here", 1, "00-ab-cd-01") == (
            request.id, request.hostname, request.retries, request.traceparent,
        )  # fmt: skip
        assert {} == request.kwargs

    contextvars.copy_context().run(run)
    assert not app.tasks[TASK].request_stack.stack


def test_two_jobs_do_not_see_each_others_request():
    """Celery's own stack is one for each thread; ours is one for each context."""
    stack = RequestStack()
    first, second = object(), object()

    def inner():
        stack.push(second)
        assert ([second], 1) == (stack.stack, len(stack))

    contextvars.copy_context().run(inner)
    stack.push(first)
    contextvars.copy_context().run(lambda: stack.push(second))
    assert first is stack.top is stack.pop()
    assert (None, None, 0) == (stack.top, stack.pop(), len(stack))


def test_inspect_shows_the_job_without_arguments_and_revoke_asks_the_ledger(view):
    """The tables that remote control reads are filled while the job runs, and empty afterwards."""
    attempt = an_attempt()
    view.started(attempt)
    (request,) = worker_state.active_requests
    assert (attempt.lease.job_id, TASK, [], {}) == tuple(
        request.info()[key] for key in ("id", "name", "args", "kwargs")
    )
    assert worker_state.requests[str(attempt.lease.job_id)] is request
    request.cancel(None)
    assert [] == view.cancelled, "a shutdown of Celery's cancels nothing"
    request.terminate(None, signal="TERM")
    assert [attempt.lease.job_id] == view.cancelled
    view.ended(attempt, None, None, 1.0)
    assert (0, {}) == (len(worker_state.active_requests), dict(worker_state.requests))


def test_a_task_that_celery_does_not_know_harms_nobody(view):
    """Worker events are sent, signals are not: there is no task to send them for."""
    attempt = an_attempt(task="tests.unheard_of")
    view.started(attempt)
    view.ended(attempt, Completed("1"), Settled(attempt.lease, JobState.COMPLETED), 1.0)
    assert 3 == len(view.hub.sent)


def test_an_interrupt_before_the_handler_is_watched_is_carried_out():
    """And the first reason stays, unless the lease is lost."""
    attempt, cancelled = an_attempt(), []
    attempt.interrupt(Interrupt.DRAIN)
    attempt.interrupt(Interrupt.CANCEL)
    assert Interrupt.DRAIN is attempt.interrupted
    attempt.watch(lambda: cancelled.append(True))
    assert [True] == cancelled
    attempt.interrupt(Interrupt.LEASE_LOST)
    assert Interrupt.LEASE_LOST is attempt.interrupted
