"""What Celery users see of a real worker: plain tasks, results, remote control, worker events."""

import threading
from collections import defaultdict
from contextlib import contextmanager

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from holdfast.jobs.state import JobState
from holdfast.settings.names import Names
from holdfast.tasks.application import make_app
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import SAMPLE_TASKS

NAMES = Names()
PLAIN_TASKS = "holdfast.tests.support.plain_tasks"


@pytest.fixture
def plain(embedded: Platform) -> Platform:
    """A platform with one worker that has plain Celery tasks beside ours."""
    embedded.worker(task_modules=f"{SAMPLE_TASKS},{PLAIN_TASKS}")
    return embedded


def send(platform: Platform, name: str, *args: object) -> "AsyncResult[object]":
    """Send as any Celery producer does."""
    return platform.app.send_task(name, args=args)


def test_a_plain_task_runs_through_celerys_own_tracer(plain: Platform):
    """Its result is readable through AsyncResult, and no job of ours was made of it."""
    result = send(plain, "plain.multiply", 6, 7)
    assert 42 == result.get(timeout=15)
    assert "SUCCESS" == result.state
    assert {} == plain.ledger.find([result.id])


def test_a_plain_task_may_retry_itself(plain: Platform):
    """`self.retry()` publishes and counts as it does everywhere."""
    assert 2 == send(plain, "plain.moody", 2).get(timeout=15)


def test_a_plain_task_that_fails_says_so(plain: Platform):
    """The exception comes back as what it was."""
    with pytest.raises(ValueError, match="on purpose"):
        send(plain, "plain.broken", "on purpose").get(timeout=15)


def test_a_plain_task_that_exits_ends_nothing_else(plain: Platform):
    """The worker goes on, and the request does not stay among the active ones."""
    left = send(plain, "plain.leave")
    assert 42 == send(plain, "plain.multiply", 6, 7).get(timeout=15)
    wait = sample_tasks.wait.enqueue_sync(60.0)
    shown = until(lambda: [one["id"] for one in active(plain)], what="a job that is shown")
    assert [wait.id] == shown
    assert left.id not in shown


def operator_of(platform: Platform) -> Celery:
    """An application that finds the workers' remote control and events, as Flower's does."""
    return make_app(
        "operator",
        {
            "broker_url": platform.broker_url,
            "control_exchange": NAMES.control_exchange,
            "event_exchange": NAMES.event_exchange,
            "event_queue_prefix": NAMES.event_queue_prefix,
        },
    )


def active(platform: Platform) -> list[dict[str, object]]:
    """Ask the workers what runs."""
    answers = operator_of(platform).control.inspect(timeout=2.0).active() or {}
    return [one for answer in answers.values() for one in answer]


def test_inspect_shows_a_running_job_without_its_arguments(plain: Platform):
    """Name and id, nothing of what it was given."""
    job = sample_tasks.witness.enqueue_sync(str(plain.folder), "sk-hunter2", 30.0)
    until(lambda: plain.count([job.id], JobState.RUNNING), what="a running job")
    (shown,) = until(lambda: active(plain), what="an answer")
    assert (job.id, "sample.witness", [], {}) == tuple(shown[key] for key in ("id", "name", "args", "kwargs"))
    assert "hunter2" not in str(shown)


def test_revoke_with_terminate_cancels_a_running_job_through_the_ledger(plain: Platform):
    """Flower's button and `control.revoke` end the handler, and the truth is in the ledger."""
    job = sample_tasks.wait.enqueue_sync(60.0)
    until(lambda: plain.count([job.id], JobState.RUNNING), what="a running job")
    operator_of(plain).control.revoke(job.id, terminate=True)
    plain.until_all([job.id], JobState.CANCELLED)
    assert ["enqueue", "claim", "cancel"] == [moment.kind for moment in plain.ledger.history(job.id)]
    with pytest.raises(TaskRevokedError):
        AsyncResult(job.id, app=plain.app).get(timeout=5)


@contextmanager
def watching(platform: Platform):
    """Collect worker events, by the id of their task, until the block ends."""
    heard = defaultdict(list)
    stopping, ready = threading.Event(), threading.Event()

    def note(event):
        if event["type"].startswith("task-"):
            heard[event["uuid"]].append(event)
        else:
            # A heartbeat: the subscription holds.
            ready.set()

    def listen():
        operator = operator_of(platform)
        with operator.connection_for_read() as connection:
            receiver = operator.events.Receiver(connection, handlers={"*": note})
            with receiver.consumer_context() as (receiving, _, _):
                while not stopping.is_set():
                    try:
                        receiving.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield heard
    finally:
        stopping.set()
        thread.join(10)


def kinds(events) -> list[str]:
    """Return what was told of a job, in order."""
    return [event["type"].removeprefix("task-") for event in sorted(events, key=lambda event: event["clock"])]


def test_worker_events_tell_the_truth(plain: Platform, tmp_path):
    """Success, failure, a retry and then success, a cancel.

    Each as it was, without arguments, results or messages.
    """
    with watching(plain) as heard:
        good = sample_tasks.echo.enqueue_sync("sk-hunter2")
        bad = sample_tasks.broken.enqueue_sync("sk-hunter2")
        flaky = sample_tasks.flaky.enqueue_sync(2)
        long = sample_tasks.wait.enqueue_sync(60.0)
        until(lambda: plain.count([long.id], JobState.RUNNING), what="a running job")
        plain.client.cancel_sync(long.id)
        wanted = {
            good.id: ["received", "started", "succeeded"],
            flaky.id: ["received", "started", "retried", "received", "started", "succeeded"],
            long.id: ["received", "started", "revoked"],
        }
        for job, (*_, last) in wanted.items():
            until(lambda job=job, last=last: kinds(heard[job])[-1:] == [last], what="the last word")
        assert wanted == {job: kinds(heard[job]) for job in wanted}
        until(lambda: kinds(heard[bad.id])[-1:] in (["failed"], ["retried"]), what="the end of the bad one")
        until(
            lambda: plain.count([bad.id], JobState.QUARANTINED), timeout_seconds=30, what="the last attempt"
        )
        until(lambda: kinds(heard[bad.id])[-1:] == ["failed"], what="the word for it")
    events = [event for one in heard.values() for event in one]
    assert "hunter2" not in str(events)
    assert {"sample.echo"} == {event["name"] for event in heard[good.id] if event["type"] == "task-received"}
    assert all(event["runtime"] >= 0 for event in events if event["type"] == "task-succeeded")
