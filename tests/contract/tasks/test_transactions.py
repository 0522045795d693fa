"""A handler's own transaction: writes, fence and completion are one commit, on both databases."""

import asyncio
import contextlib

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import InvalidOption, LeaseLost, LedgerUnavailable
from holdfast.jobs.state import JobState
from holdfast.tasks import TaskContext


class Port:
    """The ledger, as a worker offers it to a context."""

    def __init__(self, ledger) -> None:
        """Pass everything through."""
        self.session = ledger.session
        self.async_session = ledger.async_session
        self.check_lease_in = ledger.check_lease_in
        self.settle_in = ledger.settle_in
        self.settled = []
        self._ledger = ledger

    async def progress(self, lease, progress):
        """Report from a coroutine."""
        await asyncio.to_thread(self.progress_sync, lease, progress)

    def progress_sync(self, lease, progress):
        """Report from a thread."""
        if not self._ledger.progress(lease, progress):
            raise LeaseLost(job_id=lease.job_id)

    def mark_settled(self, lease, settled):
        """Remember what was committed."""
        self.settled.append(settled.state)


@pytest.fixture
def port(ledger):
    """The worker's side."""
    return Port(ledger)


@pytest.fixture
def claim(client, greet, hand):
    """A running job."""
    return hand.claim(greet.enqueue_sync("Ada").id)


@pytest.fixture
def ctx(claim, greet, port):
    """The context of its attempt."""
    return TaskContext.of(claim, greet.spec, port, clock=SystemClock(), hard_timeout_seconds=60)


@pytest.fixture(autouse=True)
def witness(ledger):
    """A table of the user's in the ledger's database."""
    with ledger.session() as session:
        session.execute(text("CREATE TABLE witness (word TEXT)"))
        session.commit()


def words(ledger) -> int:
    """Count the user's rows."""
    with ledger.session() as session:
        return session.execute(text("SELECT count(*) FROM witness")).scalar_one()


INSERT = text("INSERT INTO witness VALUES ('x')")


async def write(ctx, ledger, *, complete=False, before_the_end=lambda: None):
    """Write one row in an async transaction."""
    try:
        async with ctx.transaction() as session:
            await session.execute(INSERT)
            if complete:
                ctx.complete(session, "done")
            await asyncio.to_thread(before_the_end)
    finally:
        await ledger.close_async()


def write_sync(ctx, ledger, *, complete=False, before_the_end=lambda: None, inside=lambda _: None):
    """Write one row in a synchronous transaction."""
    with ctx.transaction_sync() as session:
        session.execute(INSERT)
        inside(session)
        if complete:
            ctx.complete(session, "done")
        before_the_end()


@pytest.fixture(params=["async", "sync"])
def transact(request):
    """Either colour."""
    if request.param == "sync":
        return write_sync
    return lambda *args, **kwargs: asyncio.run(write(*args, **kwargs))


def test_writes_commit_while_the_lease_is_ours(ctx, ledger, claim, port, transact):
    """The job goes on after it."""
    transact(ctx, ledger)

    assert 1 == words(ledger)
    assert JobState.RUNNING == ledger.job(claim.job.id).state
    assert [] == port.settled


def test_writes_and_completion_are_one_commit(ctx, ledger, claim, port, transact):
    """After it the job is completed with this result, and the worker knows."""
    transact(ctx, ledger, complete=True)

    assert 1 == words(ledger)
    job = ledger.job(claim.job.id)
    assert (JobState.COMPLETED, '"done"') == (job.state, job.result)
    assert [JobState.COMPLETED] == port.settled


@pytest.mark.parametrize("complete", [False, True])
def test_a_late_attempt_writes_nothing(  # noqa: PLR0917 -- pytest passes by name
    ctx, ledger, claim, hand, port, transact, complete
):
    """The job was taken back while the handler ran: its writes roll back with LeaseLost."""
    ledger.hand_back([claim.lease], "test")
    second = hand.claim(claim.job.id)

    with pytest.raises(LeaseLost):
        transact(ctx, ledger, complete=complete)

    assert 0 == words(ledger)
    assert [] == port.settled
    assert (JobState.RUNNING, second.lease.fence) == (
        ledger.job(claim.job.id).state,
        ledger.job(claim.job.id).fence,
    )


def test_an_error_after_complete_completes_nothing(ctx, ledger, claim, port, transact):
    """Neither the writes nor the completion are there."""

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transact(ctx, ledger, complete=True, before_the_end=fail)

    assert 0 == words(ledger)
    assert JobState.RUNNING == ledger.job(claim.job.id).state


def test_a_commit_of_the_handlers_own_is_refused(ctx, ledger, claim):
    """It would pass the fence by; what was written is rolled back, and the message says what to do."""

    async def commit_inside():
        try:
            async with ctx.transaction() as session:
                await session.execute(INSERT)
                await session.commit()
        finally:
            await ledger.close_async()

    with pytest.raises(InvalidOption, match="Leave the block"):
        asyncio.run(commit_inside())
    with pytest.raises(InvalidOption, match="Leave the block"):
        write_sync(ctx, ledger, inside=lambda session: session.commit())
    assert 0 == words(ledger)


def test_a_savepoint_is_the_handlers_own(ctx, ledger, claim):
    """What fails in it is rolled back alone; a commit inside of it is refused as anywhere else."""

    async def with_savepoints():
        try:
            async with ctx.transaction() as session:
                async with session.begin_nested():
                    await session.execute(INSERT)
                with contextlib.suppress(ZeroDivisionError):
                    async with session.begin_nested():
                        await session.execute(INSERT)
                        raise ZeroDivisionError
        finally:
            await ledger.close_async()

    asyncio.run(with_savepoints())
    assert 1 == words(ledger)

    def commit_in_a_savepoint(session):
        session.begin_nested()
        session.execute(INSERT)
        session.commit()

    with pytest.raises(InvalidOption, match="Leave the block"):
        write_sync(ctx, ledger, inside=commit_in_a_savepoint)
    assert 1 == words(ledger)


def test_an_outage_in_a_transaction_is_an_outage(ctx, ledger, transact):
    """A database that goes away is LedgerUnavailable, and transient; a wrong statement is the caller's."""

    def lose():
        raise OperationalError("SELECT 1", None, psycopg.OperationalError("the connection is lost"))

    with pytest.raises(LedgerUnavailable, match="the connection is lost"):
        transact(ctx, ledger, before_the_end=lose)
    with pytest.raises(DBAPIError):
        write_sync(ctx, ledger, inside=lambda session: session.execute(text("SELECT wrong FROM witness")))
    assert 0 == words(ledger)


def test_a_second_completion_is_refused(ctx, ledger, transact):
    """A job ends once."""
    transact(ctx, ledger, complete=True)

    with contextlib.suppress(LeaseLost):
        transact(ctx, ledger, complete=False)
        pytest.fail("the job has ended, so nothing of its handler may commit")
    assert 1 == words(ledger)


def test_progress_is_fenced(ctx, ledger, claim):
    """A report is seen at once, and not accepted from a late attempt."""
    ctx.progress_sync(1, 2, "half")
    asyncio.run(ctx.progress(2, 2, "all"))
    progress = ledger.job(claim.job.id).progress
    assert progress is not None
    assert (2, 2, "all") == (progress.done, progress.total, progress.text)

    ledger.hand_back([claim.lease], "test")
    with pytest.raises(LeaseLost):
        ctx.progress_sync(1)
