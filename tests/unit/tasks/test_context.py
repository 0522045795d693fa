"""What a running handler may do, and how it is fenced."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.jobs.errors import InvalidOption, InvalidResult, LeaseLost
from holdfast.jobs.ids import JobId, LeaseToken, WorkerId
from holdfast.jobs.job import Claim, Job, Progress, Settled
from holdfast.jobs.lease import Fence, Lease
from holdfast.jobs.outcome import Completed
from holdfast.jobs.state import JobState
from holdfast.resilience.fleet import DEFAULT_POLICY
from holdfast.resilience.guard.guard import Guard
from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import read_spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class StillClock:
    """A clock that moves when it is told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Recorder:
    """Stands for the worker and its database session, and writes down what is asked of it in order."""

    def __init__(self, *, is_lost: bool = False) -> None:
        self.calls: list[object] = []
        self.is_lost = is_lost

    async def progress(self, lease, progress):
        self.progress_sync(lease, progress)

    def progress_sync(self, lease, progress):
        self.calls.append(progress)

    @contextlib.contextmanager
    def session(self, before_commit):
        yield self

    @contextlib.asynccontextmanager
    async def async_session(self, before_commit):
        yield AsyncRecorder(self)

    def check_lease_in(self, connection, lease):
        self.calls.append("check")
        if self.is_lost:
            raise LeaseLost(job_id=lease.job_id)

    def settle_in(self, connection, settlement):
        self.calls.append(settlement.outcome)
        return Settled(settlement.lease, None if self.is_lost else JobState.COMPLETED)

    def mark_settled(self, lease, settled):
        self.calls.append(settled.state)

    def flush(self):
        self.calls.append("flush")

    def connection(self):
        return self

    def commit(self):
        self.calls.append("commit")

    def rollback(self):
        self.calls.append("rollback")


class AsyncRecorder:
    """The async face of a Recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def flush(self):
        self._recorder.flush()

    async def connection(self):
        return self

    async def run_sync(self, call, *args):
        return call(self._recorder, *args)

    async def commit(self):
        self._recorder.commit()

    async def rollback(self):
        self._recorder.rollback()


def handler(ctx: TaskContext) -> int:
    """A handler, for its types."""
    return ctx.attempt


def a_context(port, *, clock=None, job_id="job-1", deadline_at=None, hard=60.0) -> TaskContext:
    """The context of a second attempt."""
    job = Job(
        JobId(job_id), "shop.order", "1", "default", JobState.RUNNING, "{}", NOW, NOW, deadline_at=deadline_at
    )
    lease = Lease(job.id, LeaseToken("t"), WorkerId("w"), Fence(1, 1), 2)
    spec = read_spec(handler, name="shop.order")
    return TaskContext.of(
        Claim(lease, job), spec, port, clock=clock or StillClock(), hard_timeout_seconds=hard
    )


def test_the_context_shows_its_job():
    """A handler can say which job and attempt it is."""
    ctx = a_context(Recorder())

    assert ("job-1", "shop.order", 2, 2) == (ctx.job.id, ctx.job.task, ctx.job.attempt, ctx.attempt)


def test_the_remaining_time_ends_with_the_earlier_of_deadline_and_hard_limit():
    """A handler that plans its work knows how long it has, and never less than nothing."""
    clock = StillClock()
    ctx = a_context(Recorder(), clock=clock, deadline_at=NOW + timedelta(seconds=90), hard=100.0)

    assert 90.0 == ctx.remaining_seconds()
    assert 100.0 == a_context(Recorder(), hard=100.0).remaining_seconds()
    clock.seconds = 95.0
    assert 0.0 == ctx.remaining_seconds()


def test_idempotency_keys_are_stable_and_distinct():
    """The same job and step give the same key in every attempt; another job or step another one."""
    key = a_context(Recorder()).idempotency_key("charge")

    assert key == a_context(Recorder()).idempotency_key("charge")
    assert 32 == len(key)
    others = {
        a_context(Recorder()).idempotency_key(),
        a_context(Recorder()).idempotency_key("refund"),
        a_context(Recorder(), job_id="job-2").idempotency_key("charge"),
    }
    assert key not in others
    assert 3 == len(others)


def test_progress_is_bounded():
    """A report is small and holds nothing that a database refuses."""
    port = Recorder()

    a_context(port).progress_sync(1, 2, "x" * 1_000 + "\x00")

    assert [Progress(1, 2, "x" * 500)] == port.calls
    with pytest.raises(InvalidOption):
        a_context(port).progress_sync(float("nan"))


def test_the_logger_names_the_job_and_keeps_the_callers_extra(caplog):
    """Every line of a handler can be found by its job."""
    with caplog.at_level(logging.INFO, "holdfast.task"):
        a_context(Recorder()).logger.info("hello", extra={"shop": "north"})

    record = caplog.records[0]
    assert ("job-1", "shop.order", 2, "north") == (record.job_id, record.task, record.attempt, record.shop)


async def run(ctx: TaskContext, *, result: object = None, error: Exception | None = None) -> None:
    """Run an async transaction."""
    async with ctx.transaction() as session:
        if result is not None:
            ctx.complete(session, result)
        if error:
            raise error


def run_sync(ctx: TaskContext, *, result: object = None, error: Exception | None = None) -> None:
    """Run a synchronous transaction."""
    with ctx.transaction_sync() as session:
        if result is not None:
            ctx.complete(session, result)
        if error:
            raise error


@pytest.fixture(params=["async", "sync"])
def transact(request):
    """Run a transaction of either colour to its end."""
    if request.param == "sync":
        return run_sync
    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def test_a_transaction_checks_the_fence_last(transact):
    """The job's row is locked only for the moment before the commit."""
    port = Recorder()

    transact(a_context(port))

    assert ["flush", "check", "commit"] == port.calls


def test_completion_commits_with_the_handlers_writes(transact):
    """The settle is the last statement, and the worker learns of it after the commit only."""
    port = Recorder()

    transact(a_context(port), result=5)

    assert ["flush", Completed("5"), "commit", JobState.COMPLETED] == port.calls


@pytest.mark.parametrize("result", [None, 5])
def test_a_lost_lease_rolls_everything_back(transact, result):
    """A late worker commits nothing."""
    port = Recorder(is_lost=True)

    with pytest.raises(LeaseLost):
        transact(a_context(port), result=result)

    assert "rollback" == port.calls[-1]
    assert "commit" not in port.calls


def test_an_error_in_the_block_rolls_back(transact):
    """Neither the writes nor the completion happen."""
    port = Recorder()

    with pytest.raises(ZeroDivisionError):
        transact(a_context(port), result=5, error=ZeroDivisionError())

    assert ["rollback"] == port.calls


def test_a_result_of_the_wrong_type_is_refused_at_once(transact):
    """The handler sees it where it happens."""
    with pytest.raises(InvalidResult):
        transact(a_context(Recorder()), result="five")


def test_completing_outside_of_the_transaction_is_refused():
    """There would be no commit to join."""
    with pytest.raises(InvalidOption):
        a_context(Recorder()).complete(None, 5)


def test_a_handler_reaches_the_guard_of_an_upstream_by_its_name():
    """The one that was declared, in every job of the process; with the defaults, if none was."""
    declared = Guard("context-declared", timeout_seconds=5.0)
    one, other = a_context(Recorder()), a_context(Recorder(), job_id="job-2")

    assert declared is one.guard("context-declared") is other.guard("context-declared")
    assert one.guard("context-undeclared") is other.guard("context-undeclared")
    assert DEFAULT_POLICY == one.guard("context-undeclared").policy


@pytest.mark.parametrize("wrong", ["", "a\nb", "x" * 129, None, 7])
def test_what_cannot_be_an_upstream_has_no_guard(wrong):
    """And the error says which job asked, and how a name looks."""
    with pytest.raises(InvalidOption, match="1 to 128 printable characters") as caught:
        a_context(Recorder()).guard(wrong)
    assert "job-1" == caught.value.job_id


def test_a_handler_is_told_when_a_name_means_several_guards():
    """Instead of calling through the one that has no limits."""
    for seconds in (5.0, 6.0):
        Guard("context-doubtful", timeout_seconds=seconds)
    with pytest.raises(InvalidOption, match=r"several guards.*the guard that you mean"):
        a_context(Recorder()).guard("context-doubtful")
