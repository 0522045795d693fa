"""The writer and the disk: an outcome that the ledger has not taken outlives its process (B16)."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from holdfast.jobs.events import OutcomesSpooled, SpoolUnusable
from holdfast.jobs.state import JobState
from holdfast.tests.support.bench import Unsteady, claimed, registered, turns
from holdfast.tests.support.builders import a_settlement
from holdfast.workers import writer as writer_module
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import DiskFolder
from holdfast.workers.spool.heir import Heir
from holdfast.workers.spool.outcomes import OutcomeSpool
from holdfast.workers.writer import LedgerWriter

DONE = JobState.COMPLETED


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """An outage is looked at every few milliseconds."""
    monkeypatch.setattr(writer_module, "_SHORTEST_PAUSE", 0.002)
    monkeypatch.setattr(writer_module, "_LONGEST_PAUSE", 0.004)
    monkeypatch.setattr(writer_module, "_SLOW_SECONDS", 0.02)
    monkeypatch.setattr(writer_module, "_LAST_TRY_SECONDS", 0.1)


class Desk:
    """A writer, its line and its disk."""

    def __init__(self, ledger, events, path):
        self.ledger, self.line, self.path = ledger, Unsteady(ledger), path
        self.disk = OutcomeSpool(DiskFolder(path), "one.mine", largest_bytes=10_000, events=events)
        self.writer = LedgerWriter(self.line.as_ledger(), on_unavailable=lambda _: None, disk=self.disk)
        self.worker_id = registered(ledger)

    def lease(self):
        """A running job's lease."""
        return claimed(self.ledger, self.worker_id).lease

    def settle(self, lease):
        """Ask for an outcome to be written."""
        return asyncio.ensure_future(self.writer.settle(a_settlement(lease)))

    def on_disk(self):
        """The leases of the outcomes that an heir would find."""
        files = list(self.path.glob("*.spool"))
        return [one.lease for file in files for one in lines.read(file.read_bytes())[0]]

    def dies(self, events):
        """Let the process be gone, as far as the kernel knows: its lock ends. Returns its heir."""
        self.disk._file.release()  # noqa: SLF001 -- what the kernel does at a death
        return Heir(DiskFolder(self.path), "one.", events=events)


@asynccontextmanager
async def at_a_desk(ledger, events, path):
    """A writer that has started."""
    desk = Desk(ledger, events, path)
    desk.writer.start()
    try:
        yield desk
    finally:
        desk.line.flow.set()
        desk.line.before.clear()
        desk.line.after.clear()
        await asyncio.to_thread(desk.writer.stop, 5.0)


@pytest.mark.parametrize("fault", ["before", "after"])
def test_outcomes_stand_on_disk_while_the_ledger_is_away(ledger, events, seen, tmp_path, fault):
    """From the first failed try on; after the commit the file is empty, and after the stop it is gone."""

    async def main():
        async with at_a_desk(ledger, events, tmp_path) as desk:
            leases = [desk.lease() for _ in range(3)]
            getattr(desk.line, fault).add("settle")
            answers = [desk.settle(lease) for lease in leases]
            await turns(lambda: len(desk.on_disk()) == 3)
            tries = desk.line.count("settle")
            await turns(lambda: desk.line.count("settle") > tries + 3)
            assert leases == desk.on_disk(), "each once, however often it is tried"
            getattr(desk.line, fault).clear()
            assert {DONE} == {one.state for one in await asyncio.gather(*answers)}
            await turns(lambda: not desk.on_disk())
        assert [] == list(tmp_path.iterdir())
        assert [OutcomesSpooled] == [type(event) for event in seen]

    asyncio.run(main())


def test_without_an_outage_nothing_is_written_to_the_disk(ledger, events, seen, tmp_path):
    """A job's path has no file in it."""

    async def main():
        async with at_a_desk(ledger, events, tmp_path) as desk:
            for _ in range(3):
                await desk.settle(desk.lease())
            assert [] == seen

    asyncio.run(main())


def test_a_ledger_that_does_not_answer_at_all_is_an_outage(ledger, events, tmp_path):
    """A call may hang for half a minute: what is in it, and what waits behind it, goes to the disk."""

    async def main():
        async with at_a_desk(ledger, events, tmp_path) as desk:
            first, second = desk.lease(), desk.lease()
            desk.line.flow.clear()
            answers = [desk.settle(first)]
            await turns(lambda: desk.line.count("settle"))
            answers.append(desk.settle(second))
            await turns(lambda: [first, second] == desk.on_disk())
            desk.line.flow.set()
            assert {DONE} == {one.state for one in await asyncio.gather(*answers)}
            await turns(lambda: not desk.on_disk())

    asyncio.run(main())


def test_an_outcome_that_is_settled_while_the_disk_takes_it_does_not_stay_there(ledger, events, tmp_path):
    """The disk is slow to say that it has it, and the ledger answers meanwhile: nothing is left to replay."""
    is_written, may_return = threading.Event(), threading.Event()

    async def main():
        async with at_a_desk(ledger, events, tmp_path) as desk:
            append = desk.disk._file.append  # noqa: SLF001 -- a disk that answers late

            def answer_late(data):
                append(data)
                is_written.set()
                may_return.wait(5.0)

            desk.disk._file.append = answer_late  # noqa: SLF001 -- the same
            desk.line.flow.clear()
            answer = desk.settle(desk.lease())
            await turns(is_written.is_set)
            desk.line.flow.set()
            assert DONE == (await answer).state
            may_return.set()
            await turns(lambda: not desk.on_disk())

    asyncio.run(main())


def test_a_death_in_an_outage_loses_no_outcome(ledger, events, tmp_path):
    """The heir settles what the writer could not."""

    async def main():
        async with at_a_desk(ledger, events, tmp_path) as desk:
            lease = desk.lease()
            desk.line.before.add("settle")
            answer = desk.settle(lease)
            await turns(desk.on_disk)
            assert [] == desk.dies(events).replay(ledger)
            assert DONE == ledger.job(lease.job_id).state
            answer.cancel()

    asyncio.run(main())


def test_a_stop_tries_for_as_long_as_it_may(ledger, events, tmp_path):
    """A ledger that comes back within the grace gets the outcome; nothing is left."""

    async def main():
        desk = Desk(ledger, events, tmp_path)
        desk.writer.start()
        lease = desk.lease()
        desk.line.before.add("settle")
        answer = desk.settle(lease)
        await turns(desk.on_disk)
        stop = asyncio.ensure_future(asyncio.to_thread(desk.writer.stop, 30.0))
        tries = desk.line.count("settle")
        await turns(lambda: desk.line.count("settle") > tries + 3)
        assert not stop.done()
        desk.line.before.clear()
        assert await stop
        assert (DONE, []) == ((await answer).state, list(tmp_path.iterdir()))

    asyncio.run(main())


@pytest.mark.parametrize("way", ["refuses", "hangs"])
def test_a_stop_leaves_what_it_could_not_write_to_an_heir(ledger, events, tmp_path, way):
    """Also where the last call still hangs, and whatever waited behind it."""

    async def main():
        async with at_a_desk(ledger, events, tmp_path) as desk:
            first, second = desk.lease(), desk.lease()
            if way == "hangs":
                desk.line.flow.clear()
            else:
                desk.line.before.add("settle")
            answers = [desk.settle(first)]
            await turns(lambda: desk.line.count("settle"))
            answers.append(desk.settle(second))
            assert not await asyncio.to_thread(desk.writer.stop, 0.05)
            assert {first, second} == set(desk.on_disk())
            assert [] == desk.dies(events).replay(ledger)
            assert [DONE, DONE] == [ledger.job(one.job_id).state for one in (first, second)]
            for answer in answers:
                answer.cancel()

    asyncio.run(main())


def test_a_disk_that_cannot_be_written_changes_nothing_else(ledger, events, seen, tmp_path):
    """It is told once; the outcome waits in memory and is settled when the ledger is back."""
    path = tmp_path / "spool"
    path.write_text("no folder")

    async def main():
        async with at_a_desk(ledger, events, path) as desk:
            lease = desk.lease()
            desk.line.before.add("settle")
            answer = desk.settle(lease)
            await turns(lambda: desk.line.count("settle") > 5)
            desk.line.before.clear()
            assert DONE == (await answer).state
        assert [SpoolUnusable] == [type(event) for event in seen]

    asyncio.run(main())
