"""The executor: every way in which a handler can end, and what the ledger then says."""

import asyncio
import contextlib
import errno
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pydantic
import pytest

from holdfast.jobs import signals
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import Events, JobClaimed, JobHandedBack, JobSettled, LeaseWasLost, ServiceFailed
from holdfast.jobs.ids import new_job_id
from holdfast.jobs.job import NewJob
from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks import Registry, TaskContext, task
from holdfast.tests.support.bench import NOON, Unsteady, claimed, registered, turns
from holdfast.tests.support.builders import a_settlement
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.executor import Executor
from holdfast.workers.fitness import MOST_BELIEVED, MOST_GIVEN_BACK, MOST_RESTS
from holdfast.workers.port import WorkerPort
from holdfast.workers.threads import DaemonThreads
from holdfast.workers.writer import LedgerWriter

DONE, CANCELLED, QUARANTINED = JobState.COMPLETED, JobState.CANCELLED, JobState.QUARANTINED
SCHEDULED, AVAILABLE, RUNNING = JobState.SCHEDULED, JobState.AVAILABLE, JobState.RUNNING


@dataclass
class Witnessed:
    """A watcher that remembers."""

    started_ones: list = field(default_factory=list)
    ended_ones: list = field(default_factory=list)

    def started(self, attempt):
        self.started_ones.append(attempt)

    def ended(self, attempt, result, settled, seconds):
        self.ended_ones.append((result, settled))


class Stage:
    """One task, one worker, one ledger, and the executor under test."""

    def __init__(self, ledger, seen):
        self.ledger, self.line = ledger, Unsteady(ledger)
        self.seen, self.events, self.watcher = seen, Events(seen.append), Witnessed()
        self.registry, self.abandoned, self.late = Registry(), [], []
        self.wants = []
        self.writer = LedgerWriter(self.line.as_ledger(), on_unavailable=lambda _: None)
        self.threads = DaemonThreads(2, name="test-handler")
        self.attempt = None
        self.executor = Executor(
            registry=self.registry,
            writer=self.writer,
            threads=self.threads,
            port=WorkerPort(ledger, self.writer, find=self.find),
            events=self.events,
            clock=SystemClock(),
            watcher=self.watcher,
            on_abandoned=self.abandon,
            on_want=lambda: self.wants.append(True),
        )

    def find(self, lease):
        assert lease == self.attempt.lease
        return self.attempt

    def abandon(self, attempt, end_late):
        self.abandoned.append(attempt)
        self.late.append(end_late)

    def claim(self, handler, arguments="{}", **options):
        """Enqueue a job of this handler and claim it."""
        made = task(name="tests.it", registry=self.registry, **options)(handler)
        worker_id = registered(self.ledger, [made.spec.offer()])
        (answer,) = self.ledger.enqueue([NewJob(new_job_id(), "tests.it", arguments)])
        self.attempt = RunningAttempt(claimed(self.ledger, worker_id, answer.job_id), 0.0)
        return self.attempt

    async def run(self, handler, arguments="{}", **options):
        """Carry one job to its end and return its row."""
        attempt = self.attempt or self.claim(handler, arguments, **options)
        await asyncio.wait_for(self.executor.run(attempt), 10.0)
        return self.job()

    def job(self):
        return self.ledger.job(self.attempt.lease.job_id)

    def happened(self, kind):
        return [event for event in self.seen if isinstance(event, kind)]

    @property
    def told(self):
        """How the watcher was told that it ended."""
        ((result, settled),) = self.watcher.ended_ones
        return result, settled


@pytest.fixture
def stage(ledger, seen):
    """A stage whose writer runs."""
    made = Stage(ledger, seen)
    made.writer.start()
    yield made
    made.line.flow.set()
    assert made.writer.stop(5.0)
    made.threads.close()


def raising(error):
    """A handler of each colour that raises this."""

    async def on_loop():
        raise error

    def on_thread():
        raise error

    return on_loop, on_thread


async def forever():
    """Wait for what never comes."""
    await asyncio.Event().wait()


# Results.


def test_a_result_is_written_and_told(stage):
    """The value a coroutine returns is the job's result.

    One claim, one settlement, one word to each watcher.
    """

    async def handler(text: str) -> dict[str, str]:
        return {"said": text}

    job = asyncio.run(stage.run(handler, '{"text":"hello"}'))
    assert (DONE, '{"said":"hello"}', 1) == (job.state, job.result, job.attempt)
    assert (Completed('{"said":"hello"}'), DONE) == (stage.told[0], stage.told[1].state)
    assert 1 == len(stage.happened(JobClaimed))
    (settled,) = stage.happened(JobSettled)
    assert ("completed", "completed", "") == (settled.outcome, settled.state, settled.error_type)


def test_a_def_handler_runs_on_a_thread_with_its_context(stage):
    """The loop goes on while it runs, and the context's lease is its own."""
    names = []

    def handler(ctx: TaskContext, number: int) -> int:
        names.append(threading.current_thread().name)
        ctx.progress_sync(1, 2, "half")
        return number + ctx.attempt

    job = asyncio.run(stage.run(handler, '{"number":41}'))
    assert (DONE, "42", 0.5) == (job.state, job.result, job.progress.done / job.progress.total)
    assert names[0].startswith("test-handler")


def test_an_outage_of_the_ledger_drops_a_report_and_fails_nobody(stage):
    """Progress is news: a job that tells of it goes on while the database restarts (B7)."""

    async def handler(ctx: TaskContext) -> str:
        stage.line.before.add("progress")
        await ctx.progress(1, 2, "in the dark")
        stage.line.before.clear()
        return "done"

    job = asyncio.run(stage.run(handler))
    assert (DONE, '"done"', None) == (job.state, job.result, job.progress)


def test_an_attempt_beyond_the_budget_does_not_begin(stage):
    """An attempt that was taken back past its end is spent; with a budget of one there is no second."""
    begun = []

    async def handler() -> None:
        begun.append(True)

    attempt = stage.claim(handler, retry=RetryPolicy(max_attempts=1))
    attempt.claim = replace(attempt.claim, job=replace(attempt.claim.job, attempt=2))
    job = asyncio.run(stage.run(handler))
    assert (JobState.QUARANTINED, QuarantineReason.ATTEMPTS_EXHAUSTED, []) == (job.state, job.reason, begun)


def test_a_context_reports_progress_under_the_lease(stage):
    """Progress is written while the job runs."""

    async def handler(ctx: TaskContext) -> None:
        await ctx.progress(3, 4, "nearly")

    assert "nearly" == asyncio.run(stage.run(handler)).progress.text


class Odd(pydantic.BaseModel):
    """A result whose own serializer fails in a way that nobody foresees."""

    @pydantic.model_serializer
    def out(self) -> dict[str, str]:
        raise KeyError("not foreseen")


async def _object() -> object:
    return object()


async def _nan() -> float:
    return float("nan")


async def _odd() -> Odd:
    return Odd()


async def _wrong() -> int:
    return "text"


@pytest.mark.parametrize("handler", [_object, _nan, _odd, _wrong])
def test_a_result_that_cannot_be_kept_is_quarantined(stage, handler):
    """The work is done and would give the same again: it is put aside, with the reason."""
    job = asyncio.run(stage.run(handler))
    assert (QUARANTINED, QuarantineReason.INVALID_RESULT) == (job.state, job.reason)


# Arguments and tasks.


class Picky(pydantic.BaseModel):
    """Arguments whose own validator fails in a way that nobody foresees."""

    number: int

    @pydantic.field_validator("number")
    @classmethod
    def look(cls, value: int) -> int:
        raise KeyError(value)


async def _one(number: int) -> int:
    return number


async def _picky(model: Picky) -> None:
    del model


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        (_one, "{}"),
        (_one, '{"number":"x"}'),
        (_one, '{"number":1,"more":2}'),
        (_one, "[1]"),
        (_one, "no json"),
        (_picky, '{"model":{"number":1}}'),
    ],
)
def test_arguments_that_do_not_fit_are_quarantined(stage, handler, arguments):
    """The handler is not called, no attempt is retried, and the fault is in the row."""
    job = asyncio.run(stage.run(handler, arguments))
    assert (QUARANTINED, QuarantineReason.INVALID_PAYLOAD) == (job.state, job.reason)
    assert job.failure.message


def test_an_unknown_task_is_quarantined(stage):
    """A claim for what this process does not know ends visibly."""
    attempt = stage.claim(_one, '{"number":1}')
    attempt.claim = replace(attempt.claim, job=replace(attempt.claim.job, task="tests.other"))
    job = asyncio.run(stage.run(_one))
    assert (QUARANTINED, QuarantineReason.UNKNOWN_TASK) == (job.state, job.reason)


# Exceptions and signals.

EXCEPTIONS = [
    (ConnectionResetError("gone"), SCHEDULED, None),
    (TimeoutError("slow"), SCHEDULED, None),
    (ValueError("no one knows"), SCHEDULED, None),
    (RuntimeError("no one knows"), SCHEDULED, None),
    (KeyError("a bug"), QUARANTINED, QuarantineReason.PERMANENT),
    (TypeError("a bug"), QUARANTINED, QuarantineReason.PERMANENT),
    (SystemExit(3), SCHEDULED, None),
    (KeyboardInterrupt(), SCHEDULED, None),
    (asyncio.CancelledError(), SCHEDULED, None),
    (StopIteration("next() of nothing"), SCHEDULED, None),
    (GeneratorExit(), SCHEDULED, None),
    (BaseException("not even an Exception"), SCHEDULED, None),
]


@pytest.mark.parametrize("colour", [0, 1], ids=["async", "def"])
@pytest.mark.parametrize(("error", "state", "reason"), EXCEPTIONS, ids=lambda value: type(value).__name__)
def test_every_exception_ends_the_attempt_in_the_ledger(stage, colour, error, state, reason):
    """Whatever a handler raises, on the loop or on a thread, the row says so and the process goes on."""
    job = asyncio.run(stage.run(raising(error)[colour]))
    assert (state, reason) == (job.state, job.reason)
    assert job.failure.message is not None
    assert 1 == len(stage.watcher.ended_ones)


@pytest.mark.parametrize("colour", [0, 1], ids=["async", "def"])
def test_an_exception_without_a_readable_text_ends_too(stage, colour):
    """A `__str__` that fails is the handler's fault, and no reason to run the job again and again."""

    class Mute(Exception):
        def __str__(self):
            raise ValueError("cannot say")

    job = asyncio.run(stage.run(raising(Mute())[colour]))
    assert job.state in {SCHEDULED, QUARANTINED}
    assert "Mute" in job.failure.type


def test_the_last_attempt_is_quarantined(stage):
    """A transient fault without attempts left is put aside with the fault."""
    handler, _ = raising(ConnectionResetError("gone"))
    job = asyncio.run(stage.run(handler, retry=RetryPolicy(max_attempts=1)))
    assert (QUARANTINED, QuarantineReason.ATTEMPTS_EXHAUSTED) == (job.state, job.reason)
    assert "ConnectionResetError" == job.failure.type
    assert isinstance(stage.told[0], Quarantine)


SIGNALS = [
    (signals.Retry("again", delay_seconds=7), SCHEDULED, 1, Retry),
    (signals.Snooze(delay_seconds=7), SCHEDULED, 0, Snooze),
    (signals.Snooze(until=NOON + timedelta(days=1)), SCHEDULED, 0, Snooze),
    (signals.Park("upstream:search"), JobState.PARKED, 0, Park),
    (signals.Cancel("enough"), CANCELLED, 1, Cancel),
    (signals.Quarantine("hopeless"), QUARANTINED, 1, Quarantine),
]


@pytest.mark.parametrize("colour", [0, 1], ids=["async", "def"])
@pytest.mark.parametrize(
    ("signal", "state", "attempt", "kind"), SIGNALS, ids=lambda value: type(value).__name__
)
def test_each_signal_does_what_it_says(  # noqa: PLR0917 -- one row of the table
    stage, colour, signal, state, attempt, kind
):
    """A handler's own decision is the outcome; what gives the attempt back gives it back."""
    job = asyncio.run(stage.run(raising(signal)[colour]))
    assert (state, attempt) == (job.state, job.attempt)
    assert isinstance(stage.told[0], kind)


def test_a_handlers_own_except_does_not_swallow_a_signal(stage):
    """Signals are no Exceptions."""

    async def handler():
        try:
            raise signals.Cancel("enough")  # noqa: TRY301 -- what careless handlers do
        except Exception:  # noqa: BLE001 -- what careless handlers do
            return "swallowed"

    assert CANCELLED == asyncio.run(stage.run(handler)).state


def test_a_handler_that_finds_its_lease_lost_writes_nothing(stage):
    """LeaseLost from the context ends the attempt without a settlement.

    The row is somebody else's business.
    """

    async def handler(ctx: TaskContext):
        stage.ledger.hand_back([stage.attempt.lease], "somebody else's doing")
        await ctx.progress(1)

    job = asyncio.run(stage.run(handler))
    assert (AVAILABLE, 0) == (job.state, stage.line.count("settle"))
    assert (None, None) == stage.told
    assert 1 == len(stage.happened(LeaseWasLost))


# Limits.


def test_the_soft_limit_cancels_a_coroutine(stage):
    """It is stopped, it may clean up, and the attempt counts as timed out."""
    cleaned = []

    async def handler():
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    job = asyncio.run(stage.run(handler, soft_timeout_seconds=0.02))
    assert (SCHEDULED, [True]) == (job.state, cleaned)
    assert "holdfast.jobs.errors.AttemptTimeout" == job.failure.type
    assert "0.02 s" in job.failure.message
    assert [] == stage.abandoned


def test_what_a_thread_raises_after_its_soft_limit_is_its_own(stage):
    """A thread cannot be interrupted, so its error is no timeout: a permanent one is not tried again."""
    passed = threading.Event()

    def handler() -> None:
        passed.wait(5.0)
        raise PermissionError("not yours")

    async def main():
        running = asyncio.ensure_future(stage.run(handler, soft_timeout_seconds=0.02))
        await turns(lambda: stage.attempt is not None and stage.attempt.interrupted)
        passed.set()
        return await running

    job = asyncio.run(main())
    assert (JobState.QUARANTINED, QuarantineReason.PERMANENT) == (job.state, job.reason)
    assert "PermissionError" == job.failure.type


def test_a_handler_that_makes_use_of_its_soft_limit_completes(stage):
    """Who catches the cancellation and returns a result in time has a result."""

    async def handler() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        return "the best so far"

    job = asyncio.run(stage.run(handler, soft_timeout_seconds=0.02))
    assert (DONE, '"the best so far"') == (job.state, job.result)


def test_the_hard_limit_alone_cancels_a_coroutine(stage):
    """Without a soft limit the hard one gives a last chance to end."""
    job = asyncio.run(stage.run(forever, hard_timeout_seconds=0.02))
    assert "holdfast.jobs.errors.AttemptTimeout" == job.failure.type
    assert [] == stage.abandoned


def test_the_jobs_own_limit_wins(stage):
    """A limit that came with the job is tighter than the task's."""
    attempt = stage.claim(forever, soft_timeout_seconds=60.0)
    job = replace(attempt.claim.job, soft_timeout_seconds=0.02)
    attempt.claim = replace(attempt.claim, job=job)
    assert "0.02 s" in asyncio.run(stage.run(forever)).failure.message


def due_within(stage, seconds, handler, **options):
    """Claim a job whose deadline comes so many seconds after its start."""
    attempt = stage.claim(handler, **options)
    job = attempt.claim.job
    deadline = job.started_at + timedelta(seconds=seconds)
    attempt.claim = replace(attempt.claim, job=replace(job, deadline_at=deadline))
    attempt.started_at = SystemClock().monotonic()
    return attempt


@pytest.mark.parametrize("most", [1, 5])
def test_an_attempt_ends_at_the_deadline_of_its_job(stage, most):
    """Its own limits are longer; it may clean up, and nothing is tried again, whatever attempts are left."""
    cleaned = []

    async def handler():
        try:
            await forever()
        finally:
            cleaned.append(True)

    due_within(stage, 0.05, handler, soft_timeout_seconds=30.0, retry=RetryPolicy(max_attempts=most))
    job = asyncio.run(stage.run(handler))
    assert (QUARANTINED, QuarantineReason.DEADLINE, [True]) == (job.state, job.reason, cleaned)
    assert "deadline" in job.failure.message
    assert [] == stage.abandoned


def test_a_limit_before_the_deadline_is_a_limit_like_any_other(stage):
    """The job is tried again, as there is time."""
    due_within(stage, 60.0, forever, soft_timeout_seconds=0.02)
    assert SCHEDULED == asyncio.run(stage.run(forever)).state


def test_what_completes_at_the_deadline_is_complete(stage):
    """A handler that catches the cancellation and returns has a result."""

    async def handler() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        return "the best so far"

    due_within(stage, 0.05, handler)
    assert (DONE, '"the best so far"') == ((job := asyncio.run(stage.run(handler))).state, job.result)


def test_a_thread_is_not_given_up_at_the_deadline(stage):
    """It cannot be stopped: its process would have to go, which its own hard limit alone is worth."""
    passed = threading.Event()

    def handler(ctx: TaskContext) -> float:
        passed.wait(0.2)
        return ctx.remaining_seconds()

    due_within(stage, 0.05, handler)
    assert (DONE, "0.0") == ((job := asyncio.run(stage.run(handler))).state, job.result)


def test_a_handler_knows_its_deadline_and_its_tick(stage):
    """Both as instants in UTC."""

    async def handler(ctx: TaskContext) -> list[bool]:
        return [ctx.deadline == ctx.job.deadline_at, ctx.deadline is None, ctx.scheduled_for is None]

    due_within(stage, 60.0, handler)
    assert "[true,false,true]" == asyncio.run(stage.run(handler)).result


@pytest.fixture
def no_last_second(monkeypatch):
    """After the hard limit only a moment is waited for the end."""
    stock = asyncio.wait

    async def wait(work, timeout=None):  # noqa: ASYNC109 -- the signature of asyncio.wait
        return await stock(work, timeout=None if timeout is None else min(timeout, 0.03))

    monkeypatch.setattr("holdfast.workers.executor.asyncio.wait", wait)


def test_a_thread_that_outlives_its_hard_limit_is_abandoned(stage, no_last_second):
    """It keeps its lease, nothing is written, and whoever runs the process hears of it (B17)."""
    release = threading.Event()

    def handler():
        release.wait(10.0)

    job = asyncio.run(stage.run(handler, hard_timeout_seconds=0.02))
    release.set()
    stage.late.pop().close()
    assert (RUNNING, [stage.attempt]) == (job.state, stage.abandoned)
    assert stage.attempt.is_abandoned
    assert [] == stage.watcher.ended_ones


def test_a_coroutine_that_swallows_every_cancellation_is_abandoned(stage, no_last_second):
    """Only the end of the process ends it."""
    may_end = asyncio.Event()

    async def handler():
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    async def main():
        job = await stage.run(handler, soft_timeout_seconds=0.01, hard_timeout_seconds=0.02)
        may_end.set()
        return job

    job = asyncio.run(main())
    stage.late.pop().close()
    assert (RUNNING, [stage.attempt]) == (job.state, stage.abandoned)


@pytest.mark.parametrize(("error", "state"), [(None, JobState.COMPLETED), (OSError("late"), QUARANTINED)])
def test_a_handler_that_ends_late_is_settled_like_any_other(stage, no_last_second, error, state):
    """The lease is still ours: a late result counts, a late error is the handler's own."""
    release = threading.Event()

    def handler():
        release.wait(10.0)
        if error is not None:
            raise error

    async def main():
        await stage.run(handler, hard_timeout_seconds=0.02, retry=RetryPolicy(max_attempts=1))
        release.set()
        await stage.late.pop()
        return stage.ledger.job(stage.attempt.lease.job_id)

    assert state == asyncio.run(main()).state


@pytest.mark.parametrize(("most", "state"), [(1, QUARANTINED), (2, SCHEDULED)])
def test_an_abandoned_handler_counts_as_timed_out_when_its_process_leaves(stage, no_last_second, most, state):
    """The retry policy bounds it like any timeout; another attempt waits until the process is gone."""
    release = threading.Event()

    async def main():
        await stage.run(
            lambda: release.wait(10.0), hard_timeout_seconds=0.02, retry=RetryPolicy(max_attempts=most)
        )
        await stage.executor.give_up(stage.attempt)
        return stage.ledger.job(stage.attempt.lease.job_id)

    job = asyncio.run(main())
    release.set()
    stage.late.pop().close()
    assert (state, "holdfast.jobs.errors.AttemptTimeout") == (job.state, job.failure.type)
    assert state is not SCHEDULED or (job.run_at - job.created_at).total_seconds() >= 9


# Interrupts.

INTERRUPTS = [
    (Interrupt.CANCEL, CANCELLED, 1),
    (Interrupt.DRAIN, AVAILABLE, 0),
    (Interrupt.LEASE_LOST, RUNNING, 1),
]


async def interrupted(stage, handler, why, **options):
    """Run a job and interrupt it when its handler waits."""
    attempt = stage.claim(handler, **options)
    running = asyncio.ensure_future(stage.executor.run(attempt))
    await turns(lambda: stage.waits)
    attempt.interrupt(why)
    await asyncio.wait_for(running, 5.0)
    return stage.job()


@pytest.mark.parametrize(("why", "state", "attempt"), INTERRUPTS)
def test_an_interrupt_ends_a_coroutine(stage, why, state, attempt):
    """Cancel ends the job, a drain hands it back with its attempt, a lost lease writes nothing."""
    stage.waits = False

    async def handler():
        stage.waits = True
        await forever()

    job = asyncio.run(interrupted(stage, handler, why))
    assert (state, attempt) == (job.state, job.attempt)
    result, settled = stage.told
    assert {CANCELLED: Cancel, AVAILABLE: type(None), RUNNING: type(None)}[state] is type(result)
    assert (settled is None) == (why is Interrupt.LEASE_LOST)


@pytest.mark.parametrize(
    ("why", "state"), [(Interrupt.CANCEL, DONE), (Interrupt.DRAIN, DONE), (Interrupt.LEASE_LOST, RUNNING)]
)
def test_a_handler_that_swallows_its_cancellation_and_returns(stage, why, state):
    """A result beats a cancel and a drain; under a lost lease it is nobody's."""
    stage.waits = False

    async def handler() -> str:
        stage.waits = True
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        return "done"

    assert state == asyncio.run(interrupted(stage, handler, why)).state


@pytest.mark.parametrize(("why", "state", "attempt"), INTERRUPTS)
def test_an_interrupt_before_the_start_is_carried_out(stage, why, state, attempt):
    """What was decided while the job was being admitted keeps the handler from running at all."""
    called = []

    async def handler():
        called.append(True)

    stage.claim(handler).interrupt(why)
    job = asyncio.run(stage.run(handler))
    assert (state, attempt, []) == (job.state, job.attempt, called)


@pytest.mark.parametrize(("why", "state", "attempt"), INTERRUPTS)
def test_a_def_handler_in_line_is_taken_out(stage, why, state, attempt):
    """A call that waits for a thread never begins."""
    held, called = threading.Event(), []
    for _ in range(2):
        stage.threads.submit(lambda: held.wait(10.0))

    def handler():
        called.append(True)

    async def main():
        running = asyncio.ensure_future(stage.executor.run(stage.claim(handler)))
        await turns(lambda: stage.attempt._cancel)  # noqa: SLF001 -- what cannot be seen from outside
        stage.attempt.interrupt(why)
        await asyncio.wait_for(running, 5.0)

    asyncio.run(main())
    held.set()
    assert (state, attempt, []) == (stage.job().state, stage.job().attempt, called)


def test_a_running_thread_is_not_interrupted(stage):
    """It ends by itself, and its result is accepted: a drain waits for it."""
    begun, may_end = threading.Event(), threading.Event()

    def handler() -> str:
        begun.set()
        may_end.wait(10.0)
        return "done"

    async def main():
        running = asyncio.ensure_future(stage.executor.run(stage.claim(handler)))
        await turns(begun.is_set)
        stage.attempt.interrupt(Interrupt.DRAIN)
        may_end.set()
        await asyncio.wait_for(running, 5.0)

    asyncio.run(main())
    assert DONE == stage.job().state


def test_a_lost_lease_overrules_an_earlier_interrupt(stage):
    """After a drain began, a lease that turns out lost still means that nothing is written."""
    stage.claim(forever).interrupt(Interrupt.DRAIN)
    stage.attempt.interrupt(Interrupt.LEASE_LOST)
    assert RUNNING == asyncio.run(stage.run(forever)).state
    assert 0 == stage.line.count("hand_back")


def test_it_is_too_late_to_interrupt_a_settlement(stage):
    """The outcome is on its way: a cancel that comes now finds a finished job."""

    async def handler() -> str:
        return "done"

    async def main():
        stage.line.flow.clear()
        running = asyncio.ensure_future(stage.executor.run(stage.claim(handler)))
        await turns(lambda: stage.attempt.is_settling)
        stage.attempt.interrupt(Interrupt.LEASE_LOST)
        stage.line.flow.set()
        await asyncio.wait_for(running, 5.0)

    asyncio.run(main())
    assert (DONE, None) == (stage.job().state, stage.attempt.interrupted)


# What the ledger makes of it.


@pytest.mark.parametrize(
    "error", [ConnectionResetError("gone"), signals.Snooze(delay_seconds=5), signals.Park("x")]
)
def test_a_pending_cancel_is_told_as_what_it_is(stage, error):
    """The ledger cancels what is not final (B19), and events and watchers say cancelled, not retried."""

    async def handler():
        stage.ledger.cancel(stage.attempt.lease.job_id, "no longer needed")
        raise error

    job = asyncio.run(stage.run(handler))
    assert CANCELLED == job.state
    assert isinstance(stage.told[0], Cancel)
    (settled,) = stage.happened(JobSettled)
    assert ("cancel", "cancelled") == (settled.outcome, settled.state)


def test_a_retry_that_would_miss_the_end_is_told_as_quarantined(stage):
    """The ledger puts the job aside, and nobody is told of a retry that will not come."""
    handler, _ = raising(signals.Retry("later", delay_seconds=30 * 24 * 3600.0))
    job = asyncio.run(stage.run(handler))
    assert (QUARANTINED, QuarantineReason.DEADLINE) == (job.state, job.reason)
    assert isinstance(stage.told[0], Quarantine)


def test_a_drain_of_a_cancelled_job_is_told_as_cancelled(stage):
    """A hand-back meets the same rule."""
    stage.waits = False

    async def handler():
        stage.ledger.cancel(stage.attempt.lease.job_id)
        stage.waits = True
        await forever()

    assert CANCELLED == asyncio.run(interrupted(stage, handler, Interrupt.DRAIN)).state
    assert isinstance(stage.told[0], Cancel)
    assert [] == stage.happened(JobHandedBack)


def test_a_hand_back_of_a_lost_job_is_told_as_lost(stage):
    """The drain found that somebody else had the job: nothing was handed back."""
    stage.waits = False

    async def handler():
        stage.waits = True
        try:
            await forever()
        finally:
            stage.ledger.settle([a_settlement(stage.attempt.lease)])

    asyncio.run(interrupted(stage, handler, Interrupt.DRAIN))
    assert (1, 0) == (len(stage.happened(LeaseWasLost)), len(stage.happened(JobHandedBack)))


def test_a_late_outcome_is_told_as_a_lost_lease(stage):
    """The handler ended well, and somebody else has the job: its result is not applied."""

    async def handler() -> str:
        stage.ledger.hand_back([stage.attempt.lease], "somebody else's doing")
        return "late"

    job = asyncio.run(stage.run(handler))
    assert (AVAILABLE, None) == (job.state, job.result)
    assert (None, None) == stage.told
    assert 1 == len(stage.happened(LeaseWasLost))


def test_a_ledger_that_refuses_for_good_leaks_no_attempt(stage):
    """The watcher hears the end, the fault is reported, the row is left to the reconciliation."""

    async def handler() -> str:
        return "done"

    stage.line.errors["settle"] = LedgerError(detail="a table is gone")
    job = asyncio.run(stage.run(handler))
    assert (RUNNING, (None, None)) == (job.state, stage.told)
    assert ["executor"] == [event.service for event in stage.happened(ServiceFailed)]


# Completion inside the handler's own transaction.


def test_a_job_completes_inside_its_own_transaction(stage):
    """What the handler returns afterwards is ignored, and nothing is settled twice."""

    async def handler(ctx: TaskContext) -> str:
        with ctx.transaction_sync() as session:
            ctx.complete(session, "from inside")
        return "from outside"

    job = asyncio.run(stage.run(handler))
    assert (DONE, '"from inside"', 0) == (job.state, job.result, stage.line.count("settle"))
    assert (Completed, DONE) == (type(stage.told[0]), stage.told[1].state)


@pytest.mark.parametrize(
    "after", [ValueError("afterwards"), signals.Retry("afterwards"), KeyError("afterwards")]
)
def test_what_happens_after_the_completion_does_not_count(stage, after):
    """An exception after the commit is not told as a retry or a failure of a completed job."""

    async def handler(ctx: TaskContext) -> str:
        with ctx.transaction_sync() as session:
            ctx.complete(session, "from inside")
        raise after

    assert DONE == asyncio.run(stage.run(handler)).state
    assert isinstance(stage.told[0], Completed)
    assert ["completed"] == [event.outcome for event in stage.happened(JobSettled)]


@pytest.mark.parametrize("why", [Interrupt.DRAIN, Interrupt.CANCEL, Interrupt.LEASE_LOST])
def test_an_interrupt_after_the_completion_does_not_count(stage, why):
    """A job that completed itself is neither handed back nor lost."""
    stage.waits = False

    async def handler(ctx: TaskContext) -> str:
        with ctx.transaction_sync() as session:
            ctx.complete(session, "from inside")
        stage.waits = True
        await forever()

    assert DONE == asyncio.run(interrupted(stage, handler, why)).state
    assert isinstance(stage.told[0], Completed)
    assert [] == stage.happened(JobHandedBack) + stage.happened(LeaseWasLost)


def test_a_failed_transaction_completes_nothing(stage):
    """The job is judged by what was raised, as if the transaction had never been."""

    async def handler(ctx: TaskContext) -> str:
        with ctx.transaction_sync() as session:
            ctx.complete(session, "from inside")
            raise ConnectionResetError("gone")

    job = asyncio.run(stage.run(handler))
    assert (SCHEDULED, None) == (job.state, job.result)


# What the process lacks is not the job's fault.


@pytest.mark.parametrize("colour", [0, 1])
def test_a_handler_that_finds_no_descriptor_is_given_back(stage, colour):
    """With its attempt, and the gate is told; the job may run where there are some."""
    handler = raising(OSError(errno.EMFILE, "Too many open files"))[colour]
    job = asyncio.run(stage.run(handler))
    assert (AVAILABLE, 0, [True]) == (job.state, job.attempt, stage.wants)
    assert ["starved"] == [event.why for event in stage.happened(JobHandedBack)]


def test_a_job_that_uses_up_every_descriptor_is_not_given_back_for_ever(stage):
    """After so many times it may be the job that is to blame: then it is a failure like any other."""
    attempt = stage.claim(raising(OSError(errno.EMFILE, "Too many open files"))[0])
    often = replace(attempt.claim.job, claims=MOST_GIVEN_BACK + 1)
    stage.attempt = RunningAttempt(replace(attempt.claim, job=often), 0.0)
    job = asyncio.run(stage.run(None))
    assert (SCHEDULED, 1, []) == (job.state, job.attempt, stage.wants)


def test_a_job_that_never_finds_what_it_wants_makes_no_worker_leave(stage):
    """The first times the worker rests for it; alone, a job is the one to blame, and only given back."""
    attempt = stage.claim(raising(OSError(errno.EMFILE, "Too many open files"))[0])
    again = replace(attempt.claim.job, claims=MOST_BELIEVED + 1)
    stage.attempt = RunningAttempt(replace(attempt.claim, job=again), 0.0)
    job = asyncio.run(stage.run(None))
    assert (AVAILABLE, []) == (job.state, stage.wants)
    assert MOST_BELIEVED < MOST_RESTS


def test_arguments_that_no_worker_has_memory_for_have_an_end(stage, monkeypatch):
    """Also what is given back before the body began is not given back for ever."""
    attempt = stage.claim(forever)
    often = replace(attempt.claim.job, claims=MOST_GIVEN_BACK + 1)
    stage.attempt = RunningAttempt(replace(attempt.claim, job=often), 0.0)

    def load(*_):
        raise MemoryError

    monkeypatch.setattr(type(stage.registry.require("tests.it").spec.signature), "load", load)
    job = asyncio.run(stage.run(None))
    assert (SCHEDULED, 1, []) == (job.state, job.attempt, stage.wants)


def test_no_memory_for_the_arguments_is_no_fault_of_theirs(stage, monkeypatch):
    """Before the body began, the job is given back instead of quarantined."""
    attempt = stage.claim(forever)

    def load(_):
        raise MemoryError

    monkeypatch.setattr(type(stage.registry.require("tests.it").spec.signature), "load", lambda *_: load(_))
    job = asyncio.run(stage.run(None))
    assert (AVAILABLE, 0, [True]) == (job.state, job.attempt, stage.wants)
    assert attempt is stage.attempt
