"""A whole worker in this process, without Celery's part: it starts, dies on paper, comes back, and leaves."""

import asyncio
import threading

import pytest
from celery import Celery

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import (
    JobHandedBack,
    LeaseWasLost,
    ServiceFailed,
    WorkerDraining,
    WorkerStarted,
    WorkerStopped,
)
from holdfast.jobs.ids import new_job_id
from holdfast.jobs.job import NewJob
from holdfast.jobs.state import JobState
from holdfast.tasks import Registry, task
from holdfast.tests.support.bench import Unsteady
from holdfast.tests.support.builders import a_config, a_worker
from holdfast.tests.support.waiting import until
from holdfast.workers import drain as drain_module
from holdfast.workers import gate as gate_module
from holdfast.workers import leases as leases_module
from holdfast.workers.fitness import UNFIT
from holdfast.workers.outfit import Outfit
from holdfast.workers.runtime import Runtime
from holdfast.workers.threads import NoThread


class Nothing:
    """Stands for the parts that have suites of their own: probes, doorbell, adopter."""

    def start(self):
        """Start nothing."""

    def stop(self):
        """Stop nothing."""

    def close(self, timeout_seconds=0.0):
        """Close nothing."""


class Handlers:
    """The tasks of a worker, and what they wait for."""

    def __init__(self):
        self.registry = Registry()
        self.may_end, self.stuck = threading.Event(), threading.Event()
        self.begun, self.cancelled = [], []

        @task(name="tests.wait", registry=self.registry)
        async def wait(name: str) -> str:
            self.begun.append(name)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            return name

        @task(name="tests.reluctant", registry=self.registry)
        async def reluctant(name: str) -> None:
            self.begun.append(name)
            for asked in (name, f"{name} again"):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.append(asked)
            raise asyncio.CancelledError

        @task(name="tests.quick", registry=self.registry)
        async def quick(name: str) -> str:
            self.begun.append(name)
            return name

        @task(name="tests.block", registry=self.registry)
        async def block(name: str) -> str:
            self.begun.append(name)
            self.stuck.wait(10.0)
            return name


class Worker:
    """A runtime, its ledger on a line that can break, and its handlers."""

    def __init__(self, ledger, events, **config):
        self.ledger, self.line, self.handlers = ledger, Unsteady(ledger), Handlers()
        self.asked = []
        app = Celery("runtime", set_as_current=False)
        self.runtime = Runtime(
            a_config(**config),
            Outfit(
                app=app,
                ledger=self.line.as_ledger(),
                doorbell=Nothing(),
                registry=self.handlers.registry,
                events=events,
                clock=SystemClock(),
                adopter=Nothing(),
                intake=None,
                services=lambda _: [],
                probes=lambda _: Nothing(),
                ask_to_stop=self.asked.append,
            ),
        )

    def enqueue(self, task_name, name="a"):
        """Write a job; the worker finds it by itself."""
        (answer,) = self.ledger.enqueue([NewJob(new_job_id(), task_name, f'{{"name":"{name}"}}')])
        return answer.job_id

    def begins(self, count=1):
        """Wait until so many handlers have begun."""
        until(lambda: len(self.handlers.begun) >= count, what=f"{count} handlers")

    def state(self, job_id):
        """Read a job's state."""
        return self.ledger.job(job_id).state


@pytest.fixture
def worker(ledger, events, monkeypatch):
    """A worker that has not started; it looks at everything every few milliseconds."""
    monkeypatch.setattr(gate_module, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(leases_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(drain_module, "CLEAN_UP_SECONDS", 0.2)
    monkeypatch.setattr(drain_module, "LATE_SECONDS", 0.1)
    made = Worker(ledger, events)
    yield made
    made.handlers.stuck.set()
    made.line.before.clear()
    made.runtime.stop()


def of(seen, kind):
    """Return the events of a kind."""
    return [event for event in seen if isinstance(event, kind)]


def test_it_registers_runs_and_takes_its_leave(worker, seen):
    """What it offers stands in the ledger while it lives; afterwards its row is closed."""
    worker.runtime.start()
    assert [("worker-1", False)] == [(row.name, row.has_lane) for row in worker.ledger.workers()]
    assert worker.handlers.registry.names() == sorted(offer.task for offer in worker.ledger.offers())
    job = worker.enqueue("tests.quick")
    until(lambda: worker.state(job) is JobState.COMPLETED, what="a result")
    worker.runtime.stop()
    worker.runtime.stop()
    assert [] == worker.ledger.workers()
    kinds = [type(event) for event in seen if type(event) in (WorkerStarted, WorkerDraining, WorkerStopped)]
    assert [WorkerStarted, WorkerDraining, WorkerStopped] == kinds


def test_a_drain_for_which_no_thread_is_to_be_had_ends_later(worker, seen, monkeypatch):
    """Nobody waits for it; the system gives the thread that ends it at the third try."""
    refusals = [NoThread(11, "no more threads")] * 2
    real = drain_module.start

    def start(thread):
        if refusals:
            raise refusals.pop()
        real(thread)

    monkeypatch.setattr(drain_module, "start", start)
    worker.runtime.start()
    worker.runtime.begin_drain()
    until(lambda: of(seen, WorkerStopped), what="its end")
    assert [] == refusals


def test_a_drain_hands_back_what_does_not_end_in_time(worker, seen):
    """With its attempt, and told; nothing new begins."""
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    worker.runtime.begin_drain()
    late = worker.enqueue("tests.quick")
    worker.runtime.stop()
    row = worker.ledger.job(job)
    assert (JobState.AVAILABLE, 0) == (row.state, row.attempt)
    assert JobState.AVAILABLE == worker.state(late)
    assert [job] == [event.job_id for event in of(seen, JobHandedBack)]
    assert [1] == [event.handed_back for event in of(seen, WorkerStopped)]


def test_asked_twice_it_skips_the_grace(ledger, events, seen, monkeypatch):
    """What runs is cancelled at once, and handed back with its attempt."""
    monkeypatch.setattr(gate_module, "QUIET_SECONDS", 0.01)
    worker = Worker(ledger, events, grace_seconds=600.0)
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    worker.runtime.begin_drain()
    until(lambda: of(seen, WorkerDraining), what="the drain")
    assert [] == worker.handlers.cancelled
    worker.runtime.drain.hurry()
    worker.runtime.stop()
    assert (JobState.AVAILABLE, 0) == (worker.state(job), worker.ledger.job(job).attempt)


def test_the_grace_begins_when_it_is_asked(worker, seen):
    """Not when Celery's main thread comes round; where that never does, the worker leaves all the same."""
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    worker.runtime.begin_drain()
    until(lambda: worker.state(job) is JobState.AVAILABLE, what="the hand-back")
    until(lambda: of(seen, WorkerStopped), what="the leave")
    assert [] == worker.ledger.workers()


def test_what_swallows_its_cancellation_is_cancelled_once_more(worker):
    """After its time to clean up; then its job is handed back, too."""
    worker.runtime.start()
    job = worker.enqueue("tests.reluctant")
    worker.begins()
    worker.runtime.stop()
    assert ["a", "a again"] == worker.handlers.cancelled
    assert JobState.AVAILABLE == worker.state(job)


def test_it_is_stopped_before_it_started(worker):
    """A worker that failed to start leaves nothing."""
    worker.runtime.stop()
    assert [] == worker.ledger.workers()


def test_a_worker_that_was_declared_dead_comes_back_as_somebody_new(worker, seen):
    """Its handlers lose their leases and are cancelled; under the new id it claims again (B3)."""
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    old = worker.runtime.worker_id

    def declare_dead():
        rows = [row for row in worker.ledger.workers() if row.id == old]
        return worker.ledger.declare_dead(old, rows[0].beat_seq)

    until(declare_dead, what="a beat that is seen")
    until(lambda: worker.handlers.cancelled, what="the end of the handler")
    until(lambda: [row.id for row in worker.ledger.workers()] not in ([], [old]), what="a new row")
    assert old != worker.runtime.worker_id
    assert JobState.RUNNING == worker.state(job), "nothing was written under the lost lease"
    assert ["declared dead"] == [event.where for event in of(seen, LeaseWasLost)]
    worker.ledger.rescue(10)
    worker.begins(2)
    assert worker.runtime.worker_id == worker.ledger.job(job).worker_id


def test_a_worker_without_threads_is_reborn_when_there_are_some(worker, seen, monkeypatch):
    """First for its registration, then for its heartbeat; until then it claims nothing (B3)."""
    worker.runtime.start()
    old, start, allowed = worker.runtime.worker_id, threading.Thread.start, []

    def refuse(thread):
        if not (allowed and thread.name.startswith(tuple(allowed))):
            raise RuntimeError("can't start new thread")
        start(thread)

    def failures():
        return len(of(seen, ServiceFailed))

    monkeypatch.setattr(threading.Thread, "start", refuse)
    until(lambda: worker.ledger.declare_dead(old, worker.ledger.workers()[0].beat_seq), what="a beat")
    until(lambda: failures() >= 2, what="tries to register")
    assert ([], True) == (worker.ledger.workers(), worker.runtime.gate.is_suspended)
    allowed.append("holdfast-side")
    until(worker.ledger.workers, what="a new row")
    tries = failures()
    until(lambda: failures() >= tries + 2, what="tries to beat")
    job = worker.enqueue("tests.quick")
    assert JobState.AVAILABLE == worker.state(job)
    allowed.append("holdfast-")
    until(lambda: worker.state(job) is JobState.COMPLETED, what="work")
    assert old != worker.runtime.worker_id
    assert [] == worker.asked


def test_an_outage_cancels_nobody(worker):
    """What runs goes on, nothing begins, and afterwards everything goes on where it was (B7)."""
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    worker.line.before |= {"beat", "claim", "held", "settle"}
    until(lambda: worker.runtime.gate.is_suspended, what="a missed beat")
    quick = worker.enqueue("tests.quick", "b")
    beats = worker.line.count("beat")
    until(lambda: worker.line.count("beat") > beats + 3, what="further beats")
    assert ([], ["a"]) == (worker.handlers.cancelled, worker.handlers.begun)
    worker.line.before.clear()
    until(lambda: worker.state(quick) is JobState.COMPLETED, what="the end of the outage")
    assert (JobState.RUNNING, []) == (worker.state(job), worker.handlers.cancelled)


def test_after_its_patience_an_outage_cancels(ledger, events, monkeypatch):
    """Somebody may have the jobs by then: they are interrupted, and nothing is written."""
    monkeypatch.setattr(gate_module, "QUIET_SECONDS", 0.01)
    worker = Worker(ledger, events, unsure_limit_seconds=0.05)
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    worker.line.before |= {"beat", "claim", "held", "settle"}
    until(lambda: worker.handlers.cancelled, what="the end of patience")
    assert JobState.RUNNING == worker.state(job)
    worker.line.before.clear()
    worker.runtime.stop()


def test_a_blocked_loop_does_not_hold_the_shutdown_for_ever(worker):
    """The job keeps its lease, and the worker its row: the death of the process frees both."""
    worker.runtime.start()
    job = worker.enqueue("tests.block")
    worker.begins()
    worker.runtime.stop()
    assert JobState.RUNNING == worker.state(job)
    assert ["worker-1"] == [row.name for row in worker.ledger.workers()]


def test_an_abandoned_handler_ends_the_process_after_the_others(worker):
    """It takes no new jobs, and asks to leave as soon as nothing else runs (B17)."""
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    attempt = worker.runtime.gate.running[job]
    never = asyncio.Event()

    async def end_late():
        await never.wait()

    worker.runtime.loop.call(
        lambda: worker.runtime._on_abandoned(attempt, end_late())  # noqa: SLF001 -- a second is long
    )
    until(lambda: not worker.runtime.gate.has_room(), what="a closed gate")
    assert [] == worker.asked
    worker.ledger.cancel(job)
    until(lambda: worker.asked, what="the end of the others")
    assert [UNFIT] == worker.asked


def test_a_handler_whose_job_was_taken_is_cancelled_at_the_next_look(worker, seen):
    """Looks come every second: so soon an async handler hears of it, and it writes nothing more (B7)."""
    worker.runtime.start()
    job = worker.enqueue("tests.wait")
    worker.begins()
    worker.runtime.gate.is_closed = True
    lease = worker.runtime.gate.running[job].lease
    worker.ledger.hand_back([lease], "taken by somebody else")
    until(lambda: worker.handlers.cancelled, what="the end of the handler")
    until(lambda: job not in worker.runtime.gate.running, what="the end of the attempt")
    assert ["reconciliation"] == [event.where for event in of(seen, LeaseWasLost)]
    assert JobState.AVAILABLE == worker.state(job)


def test_a_worker_that_comes_back_to_a_taken_name_goes(worker, seen):
    """It was declared dead, and somebody else has its name by now: it frees nothing, and leaves (B5)."""
    worker.runtime.start()
    old = worker.runtime.worker_id
    twin = a_worker(name="worker-1", machine_id="another machine", started_marker="42")
    worker.ledger.register_worker(twin, [])

    def declare_dead():
        (row,) = (row for row in worker.ledger.workers() if row.id == old)
        return worker.ledger.declare_dead(old, row.beat_seq)

    until(declare_dead, what="a beat that is seen")
    until(lambda: worker.ledger.beat(twin.id) and worker.asked, timeout_seconds=30, what="its leave")
    assert [1] == worker.asked
    assert [twin.id] == [row.id for row in worker.ledger.workers()]
    assert any("worker-1" in event.error for event in of(seen, ServiceFailed))
