"""SQLite without room, and SQLite that somebody else keeps: clear errors, and nothing half written."""

import asyncio
import contextlib
import sqlite3
import time
from dataclasses import replace

import pytest
from sqlalchemy import event

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.outcome import Completed
from holdfast.jobs.state import JobState
from holdfast.ledger import connect
from holdfast.tests.support.bench import bench, turns
from holdfast.tests.support.builders import a_new_job, a_settlement

LARGE = '{"text": "' + "x" * 100_000 + '"}'


@pytest.fixture
def database_url(sqlite_url):
    """SQLite only."""
    return sqlite_url


@pytest.fixture
def disk(ledger):
    """Sets how many pages the file may have: None for as many as it likes."""

    class Disk:
        pages = 2**31 - 2

        def fill(self):
            """Leave no more room than there is used."""
            with ledger.session() as session:
                self.pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()

        def clear(self):
            """Have room again."""
            self.pages = Disk.pages

    disk = Disk()

    @event.listens_for(ledger._engine, "checkout")  # noqa: SLF001 -- the fault is injected below the ledger
    def limit(connection, _entry, _proxy):
        connection.execute(f"PRAGMA max_page_count = {disk.pages}")

    return disk


def test_a_full_disk_is_a_clear_error_and_no_half_written_job(ledger, disk):
    """All jobs of a call or none; what is there can be read; with room again everything works."""
    before = a_new_job()
    ledger.enqueue([before])
    disk.fill()
    jobs = [a_new_job(arguments=LARGE, key=str(number)) for number in range(20)]
    with pytest.raises(LedgerUnavailable, match=r"full.*Try again"):
        ledger.enqueue(jobs)
    assert {} == ledger.find([job.id for job in jobs])
    assert JobState.AVAILABLE == ledger.job(before.id).state
    disk.clear()
    # The keys were not taken, either.
    assert all(answer.created for answer in ledger.enqueue(jobs))


def test_a_full_disk_loses_no_outcome(ledger, disk, claim):
    """A result that finds no room is refused whole, and written under the same token later."""
    job = a_new_job()
    ledger.enqueue([job])
    lease = claim(job.id).lease
    disk.fill()
    with pytest.raises(LedgerUnavailable, match="full"):
        ledger.settle([a_settlement(lease, Completed(LARGE))])
    assert JobState.RUNNING == ledger.job(job.id).state
    assert ledger.owns([lease]) == [True]
    disk.clear()
    assert JobState.COMPLETED == ledger.settle([a_settlement(lease, Completed(LARGE))])[0].state
    assert 3 == len(ledger.history(job.id))


def test_a_worker_on_a_full_disk_keeps_its_outcomes_and_goes_on(ledger, disk):
    """The writer keeps what it cannot write, the worker claims nothing, and both go on by themselves."""

    async def main():
        async with bench(ledger) as b:
            job, other = a_new_job(), a_new_job()
            ledger.enqueue([job, other])
            b.ring(job.id)
            await b.until_started(1)
            disk.fill()
            settled = b.writer.settle(a_settlement(b.started[0].lease, Completed(LARGE)))
            waiting = asyncio.ensure_future(settled)
            await turns(lambda: b.writer.spooled == 1)
            assert b.unavailable
            disk.clear()
            assert JobState.COMPLETED == (await asyncio.wait_for(waiting, 10)).state
            b.may_end.set()

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_file_is_waited_for_and_not_for_ever(config, mode):
    """A rival that ends in time is not noticed; one that stays is a clear error within seconds."""
    ledger = connect(replace(config, lock_timeout_seconds=0.3))
    path = config.url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as rival:
        rival.execute(f"BEGIN {mode}")
        began_at = time.monotonic()
        with pytest.raises(LedgerUnavailable, match=r"locked.*Try again"):
            ledger.enqueue([a_new_job()])
        # Six tries of the lock's own timeout, and pauses between them.
        assert 0.3 <= time.monotonic() - began_at < 15
        rival.execute("ROLLBACK")
    assert ledger.enqueue([a_new_job()])[0].created
    ledger.close()
