"""The writer: what waits together is committed together, and no outcome is lost in an outage."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from holdfast.jobs.errors import LedgerError, LedgerUnavailable
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.state import JobState
from holdfast.tests.support.bench import Unsteady, claimed, enqueued, registered, terms_of, turns
from holdfast.tests.support.builders import a_lease, a_settlement
from holdfast.workers import writer as writer_module
from holdfast.workers.writer import LedgerWriter

DONE = JobState.COMPLETED


@asynccontextmanager
async def writing(ledger):
    """A writer on a line that can break, and the errors that it told of."""
    line, told = Unsteady(ledger), []
    writer = LedgerWriter(line.as_ledger(), on_unavailable=told.append)
    writer.start()
    try:
        yield writer, line, told
    finally:
        line.flow.set()
        line.before.clear()
        line.after.clear()
        assert await asyncio.to_thread(writer.stop, 5.0)


@pytest.fixture
def impatient(monkeypatch):
    """An outage is looked at every few milliseconds."""
    monkeypatch.setattr(writer_module, "_SHORTEST_PAUSE", 0.002)
    monkeypatch.setattr(writer_module, "_LONGEST_PAUSE", 0.004)


def claims(ledger, count):
    """So many running jobs of one worker."""
    worker_id = registered(ledger)
    return [claimed(ledger, worker_id, job) for job in enqueued(ledger, count)]


def test_settlements_that_wait_together_are_one_batch(ledger):
    """While one commit runs, what arrives goes into the next one, in order."""

    async def main():
        async with writing(ledger) as (writer, line, _):
            first, *rest = (claim.lease for claim in claims(ledger, 6))
            line.flow.clear()
            answers = [asyncio.ensure_future(writer.settle(a_settlement(first)))]
            await turns(lambda: line.count("settle"))
            answers += [asyncio.ensure_future(writer.settle(a_settlement(lease))) for lease in rest]
            await asyncio.sleep(0)
            line.flow.set()
            settled = await asyncio.gather(*answers)
            assert [1, 5] == [len(batch) for (batch,) in line.asked("settle")]
            assert [first, *rest] == [one.lease for one in settled]
            assert {DONE} == {one.state for one in settled}

    asyncio.run(main())


def test_jobs_that_are_handed_back_together_are_one_batch(ledger):
    """A drain hands a thousand jobs back in a few commits, not in a thousand."""

    async def main():
        async with writing(ledger) as (writer, line, _):
            leases = [claim.lease for claim in claims(ledger, 5)]
            line.flow.clear()
            held = asyncio.ensure_future(writer.call(lambda one: one.epoch()))
            await turns(lambda: line.count("epoch"))
            answers = [asyncio.ensure_future(writer.hand_back(lease, "drain")) for lease in leases]
            other = asyncio.ensure_future(writer.hand_back(a_lease(), "another reason"))
            await asyncio.sleep(0)
            line.flow.set()
            await held
            settled = await asyncio.gather(*answers)
            assert leases == [one.lease for one in settled]
            assert {JobState.AVAILABLE} == {one.state for one in settled}
            assert (await other).is_lost
            assert [5, 1] == [len(batch) for batch, _ in line.asked("hand_back")]

    asyncio.run(main())


def test_a_hand_back_that_fails_is_told(ledger):
    """The one who asked decides; an outage is known to the gate."""

    async def main():
        async with writing(ledger) as (writer, line, told):
            (claim,) = claims(ledger, 1)
            line.before.add("hand_back")
            with pytest.raises(LedgerUnavailable):
                await writer.hand_back(claim.lease, "drain")
            assert 1 == len(told)
            line.before.clear()
            line.errors["hand_back"] = ValueError("a bug of ours")
            with pytest.raises(ValueError, match="bug"):
                await writer.hand_back(claim.lease, "drain")
            assert 1 == len(told)
            line.errors.clear()
            assert JobState.AVAILABLE == (await writer.hand_back(claim.lease, "drain")).state

    asyncio.run(main())


def test_a_batch_has_an_end(ledger, monkeypatch):
    """More than a batch of wishes is written in several, and all are answered."""
    monkeypatch.setattr(writer_module, "MOST_IN_A_BATCH", 4)

    async def main():
        async with writing(ledger) as (writer, line, _):
            leases = [claim.lease for claim in claims(ledger, 10)]
            line.flow.clear()
            held = asyncio.ensure_future(writer.call(lambda one: one.epoch()))
            await turns(lambda: line.count("epoch"))
            answers = [asyncio.ensure_future(writer.settle(a_settlement(lease))) for lease in leases]
            await asyncio.sleep(0)
            line.flow.set()
            await asyncio.gather(held, *answers)
            assert [4, 4, 2] == [len(batch) for (batch,) in line.asked("settle")]

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["before", "after"])
def test_an_outcome_outlives_an_outage(ledger, impatient, fault):
    """A settlement is kept until the ledger is back, whether or not the lost try was committed."""

    async def main():
        async with writing(ledger) as (writer, line, told):
            (claim,) = claims(ledger, 1)
            getattr(line, fault).add("settle")
            answer = asyncio.ensure_future(writer.settle(a_settlement(claim.lease)))
            # Between two tries; while one is under way nothing is spooled.
            await turns(lambda: line.count("settle") >= 3 and writer.spooled == 1)
            assert not answer.done()
            assert told
            assert all(isinstance(error, LedgerUnavailable) for error in told)
            getattr(line, fault).clear()
            assert DONE == (await answer).state
            assert (0, DONE) == (writer.spooled, ledger.job(claim.job.id).state)

    asyncio.run(main())


def test_spooled_outcomes_go_with_the_next_batch(ledger):
    """New settlements do not overtake those that wait, and one commit takes them all."""

    async def main():
        async with writing(ledger) as (writer, line, _):
            first, second = (claim.lease for claim in claims(ledger, 2))
            line.before.add("settle")
            early = asyncio.ensure_future(writer.settle(a_settlement(first)))
            await turns(lambda: writer.spooled == 1)
            line.before.clear()
            late = asyncio.ensure_future(writer.settle(a_settlement(second)))
            await asyncio.gather(early, late)
            assert [first, second] == [one.lease for one in line.asked("settle")[-1][0]]

    asyncio.run(main())


def test_a_claim_does_not_wait_for_the_ledger_to_come_back(ledger):
    """Whoever claims, or calls, hears of the outage at once and decides by himself."""

    async def main():
        async with writing(ledger) as (writer, line, told):
            line.before |= {"claim", "epoch"}
            request = ClaimRequest(new_lease_token())
            with pytest.raises(LedgerUnavailable):
                await writer.claim([request], terms_of(registered(ledger)))
            with pytest.raises(LedgerUnavailable):
                await writer.call(lambda one: one.epoch())
            assert 2 == len(told)

    asyncio.run(main())


@pytest.mark.parametrize("error", [LedgerError(detail="no"), ValueError("a bug of ours")])
def test_another_error_reaches_the_one_who_asked(ledger, error):
    """It is no outage: nobody else is told, and the writer goes on."""

    async def main():
        async with writing(ledger) as (writer, line, told):
            (claim,) = claims(ledger, 1)
            line.errors = {"settle": error, "epoch": error}
            with pytest.raises(type(error)):
                await writer.settle(a_settlement(claim.lease))
            with pytest.raises(type(error)):
                await writer.call(lambda one: one.epoch())
            line.errors = {}
            assert DONE == (await writer.settle(a_settlement(claim.lease))).state
            assert [] == told

    asyncio.run(main())


def test_an_outcome_that_cannot_be_written_costs_no_other_one(ledger):
    """A batch that fails for an unknown reason is written one by one; only the one to blame hears of it."""

    class Picky:
        """A ledger that stumbles over one job."""

        def __init__(self, bad):
            self.bad = bad

        def settle(self, settlements):
            if any(one.lease == self.bad for one in settlements):
                raise KeyError("odd")
            return ledger.settle(settlements)

    async def main():
        leases = [claim.lease for claim in claims(ledger, 4)]
        writer = LedgerWriter(Picky(leases[1]), on_unavailable=lambda _: None)
        answers = [asyncio.ensure_future(writer.settle(a_settlement(lease))) for lease in leases]
        await asyncio.sleep(0)
        writer.start()
        told = await asyncio.gather(*answers, return_exceptions=True)
        assert [DONE, "KeyError", DONE, DONE] == [getattr(one, "state", type(one).__name__) for one in told]
        assert await asyncio.to_thread(writer.stop, 5.0)

    asyncio.run(main())


def test_a_lost_lease_is_an_answer(ledger):
    """A settlement under a token that nobody holds is answered without a state.

    Its neighbours are written.
    """

    async def main():
        async with writing(ledger) as (writer, _, _):
            (claim,) = claims(ledger, 1)
            mine, lost = await asyncio.gather(
                writer.settle(a_settlement(claim.lease)),
                writer.settle(a_settlement(a_lease(job_id=claim.job.id))),
            )
            assert (DONE, True) == (mine.state, lost.is_lost)

    asyncio.run(main())


def test_a_caller_that_is_gone_harms_nobody(ledger):
    """The answer for a cancelled caller is dropped; what he asked for is written all the same."""

    async def main():
        async with writing(ledger) as (writer, line, _):
            (claim,) = claims(ledger, 1)
            line.flow.clear()
            answer = asyncio.ensure_future(writer.settle(a_settlement(claim.lease)))
            await turns(lambda: line.count("settle"))
            answer.cancel()
            line.flow.set()
            await turns(lambda: ledger.job(claim.job.id).state is DONE)
            assert await writer.call(lambda one: one.epoch())

    asyncio.run(main())


def test_a_stop_writes_what_waits(ledger):
    """What was asked for before the stop is written before the end."""

    async def main():
        line = Unsteady(ledger)
        writer = LedgerWriter(line.as_ledger(), on_unavailable=lambda _: None)
        (claim,) = claims(ledger, 1)
        answer = asyncio.ensure_future(writer.settle(a_settlement(claim.lease)))
        await asyncio.sleep(0)
        writer.start()
        assert await asyncio.to_thread(writer.stop, 5.0)
        assert DONE == (await answer).state

    asyncio.run(main())


def test_a_stop_tells_of_what_could_not_be_written(ledger, impatient):
    """With the ledger away the stop tries for as long as it may and then says that an outcome is left."""

    async def main():
        line = Unsteady(ledger)
        writer = LedgerWriter(line.as_ledger(), on_unavailable=lambda _: None)
        writer.start()
        (claim,) = claims(ledger, 1)
        line.before.add("settle")
        answer = asyncio.ensure_future(writer.settle(a_settlement(claim.lease)))
        await turns(lambda: writer.spooled)
        assert not await asyncio.to_thread(writer.stop, 0.1)
        assert 1 == writer.spooled
        answer.cancel()

    asyncio.run(main())


def test_a_writer_that_never_started_can_be_stopped(ledger):
    """Stop before start waits for nothing."""
    assert LedgerWriter(ledger, on_unavailable=lambda _: None).stop(0.1)


def test_an_answer_for_a_closed_loop_is_dropped(ledger):
    """The writer outlives the loop that asked."""
    line = Unsteady(ledger)
    writer = LedgerWriter(line.as_ledger(), on_unavailable=lambda _: None)
    (claim,) = claims(ledger, 1)

    async def ask():
        asking = asyncio.ensure_future(writer.settle(a_settlement(claim.lease)))
        await asyncio.sleep(0)
        asking.cancel()

    asyncio.run(ask())
    writer.start()
    assert writer.stop(5.0)
    assert DONE == ledger.job(claim.job.id).state
