"""The reconciliation: what the process holds and what the ledger says it holds, made the same (B1)."""

import asyncio

import pytest

from holdfast.jobs.events import LeaseWasLost, ServiceFailed
from holdfast.jobs.job import Settled
from holdfast.jobs.state import JobState
from holdfast.tests.support.bench import bench, claimed, enqueued, turns
from holdfast.workers import leases as leases_module
from holdfast.workers.attempt import Interrupt
from holdfast.workers.leases import LeaseKeeper

RUNNING, AVAILABLE = JobState.RUNNING, JobState.AVAILABLE


def keeper_of(b, *, patience_seconds=2.0):
    """The keeper of a bench's leases."""
    return LeaseKeeper(
        worker_id=b.worker_id,
        gate=b.gate,
        writer=b.writer,
        events=b.events,
        patience_seconds=patience_seconds,
    )


async def running(b, count=1):
    """Let jobs run on the bench and return their attempts."""
    b.ring(*enqueued(b.ledger, count))
    await b.until_started(count)
    return b.started


def heard(attempt):
    """Watch an attempt: the list grows with each cancellation."""
    cancelled = []
    attempt.watch(lambda: cancelled.append(True))
    return cancelled


def test_a_row_that_nobody_holds_is_handed_back_after_its_patience(ledger):
    """A claim whose answer was lost does not run for ever under a healthy worker."""

    async def main():
        async with bench(ledger) as b:
            stray = claimed(ledger, b.worker_id)
            keeper = keeper_of(b, patience_seconds=3.0)
            await keeper.look()
            await keeper.look()
            assert RUNNING == ledger.job(stray.job.id).state
            await keeper.look()
            job = ledger.job(stray.job.id)
            assert (AVAILABLE, 0) == (job.state, job.attempt), "the attempt is given back"

    asyncio.run(main())


def test_patience_is_two_looks_at_least(ledger):
    """However short the beat, one look alone proves nothing."""

    async def main():
        async with bench(ledger) as b:
            stray = claimed(ledger, b.worker_id)
            keeper = keeper_of(b, patience_seconds=0.1)
            await keeper.look()
            assert RUNNING == ledger.job(stray.job.id).state
            await keeper.look()
            assert AVAILABLE == ledger.job(stray.job.id).state

    asyncio.run(main())


def test_what_runs_here_is_no_stray(ledger):
    """A healthy attempt is left alone, however often it is looked at."""

    async def main():
        async with bench(ledger) as b:
            (attempt,) = await running(b)
            cancelled = heard(attempt)
            keeper = keeper_of(b)
            for _ in range(4):
                await keeper.look()
            assert ([], None) == (cancelled, attempt.interrupted)
            assert RUNNING == ledger.job(attempt.lease.job_id).state

    asyncio.run(main())


def test_a_claim_in_doubt_is_no_stray(ledger):
    """Its tokens are under way: the row is kept until the claim is repeated."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            b.line.after.add("claim")
            b.ring(job)
            await turns(lambda: b.gate.is_suspended)
            keeper = keeper_of(b)
            for _ in range(4):
                b.line.before.add("claim")
                await keeper.look()
                await turns(lambda: b.gate.is_suspended)
            assert RUNNING == ledger.job(job).state
            b.line.before.clear()
            b.line.after.clear()
            await keeper.look()
            await b.until_started(1)

    asyncio.run(main())


def test_an_abandoned_attempt_keeps_its_lease(ledger):
    """What did not end at its hard limit is held until the process is gone (B17)."""

    async def main():
        async with bench(ledger) as b:
            (attempt,) = await running(b)
            attempt.is_abandoned = True
            b.may_end.set()
            await turns(lambda: not b.gate._executions)  # noqa: SLF001 -- what cannot be seen from outside
            keeper = keeper_of(b)
            for _ in range(4):
                await keeper.look()
            assert RUNNING == ledger.job(attempt.lease.job_id).state

    asyncio.run(main())


def test_a_lease_that_the_ledger_does_not_know_is_lost(ledger):
    """The handler is cancelled and told so once, not once a second."""

    async def main():
        async with bench(ledger) as b:
            (attempt,) = await running(b)
            cancelled = heard(attempt)
            ledger.hand_back([attempt.lease], "somebody else's doing")
            keeper = keeper_of(b)
            for _ in range(3):
                await keeper.look()
            assert Interrupt.LEASE_LOST is attempt.interrupted
            assert [True] == cancelled
            assert ["reconciliation"] == [event.where for event in b.happened(LeaseWasLost)]

    asyncio.run(main())


def test_an_attempt_that_its_own_transaction_completes_is_not_lost(ledger):
    """Between its commit and the note of it there is one look; without the note the next one tells."""

    async def main():
        async with bench(ledger) as b:
            (attempt,) = await running(b)
            cancelled, keeper = heard(attempt), keeper_of(b)
            attempt.is_completing = True
            ledger.hand_back([attempt.lease], "gone from running")
            await keeper.look()
            assert [] == cancelled
            await keeper.look()
            assert [True] == cancelled

    asyncio.run(main())


@pytest.mark.parametrize("how", ["settling", "settled"])
def test_an_attempt_on_its_way_to_the_ledger_is_not_lost(ledger, how):
    """Its row stops running because of what it wrote itself."""

    async def main():
        async with bench(ledger) as b:
            (attempt,) = await running(b)
            if how == "settling":
                attempt.is_settling = True
            else:
                attempt.settled = Settled(attempt.lease, JobState.COMPLETED)
            ledger.hand_back([attempt.lease], "its own doing")
            await keeper_of(b).look()
            assert attempt.interrupted is None
            assert [] == b.happened(LeaseWasLost)

    asyncio.run(main())


def test_a_cancel_request_cancels_the_handler_once(ledger):
    """A second look does not cancel what the handler does to end in good order."""

    async def main():
        async with bench(ledger) as b:
            attempt, other = await running(b, 2)
            cancelled, untouched = heard(attempt), heard(other)
            assert "requested" == ledger.cancel(attempt.lease.job_id, "no longer needed")
            keeper = keeper_of(b)
            for _ in range(3):
                await keeper.look()
            assert Interrupt.CANCEL is attempt.interrupted
            assert ([True], []) == (cancelled, untouched)

    asyncio.run(main())


def test_a_ledger_that_answers_again_lets_the_gate_claim(ledger):
    """A gate that was suspended by one failed call is not suspended until somebody happens to beat."""

    async def main():
        async with bench(ledger) as b:
            b.gate.is_suspended = True
            await keeper_of(b).look()
            assert not b.gate.is_suspended

    asyncio.run(main())


def test_the_watch_outlives_outages_and_faults(ledger, monkeypatch):
    """Strays are counted anew after an outage, and a fault of ours is reported and does not end the watch."""
    monkeypatch.setattr(leases_module, "LOOK_SECONDS", 0.002)

    async def main():
        async with bench(ledger) as b:
            keeper = keeper_of(b)
            watch = asyncio.ensure_future(keeper.run())
            b.line.before.add("held")
            await turns(lambda: b.line.count("held") >= 2)
            b.line.errors["held"] = ValueError("a bug of ours")
            await turns(lambda: b.happened(ServiceFailed))
            b.line.errors.clear()
            b.line.before.clear()
            (attempt,) = await running(b)
            ledger.cancel(attempt.lease.job_id)
            await turns(lambda: attempt.interrupted is Interrupt.CANCEL)
            watch.cancel()

    asyncio.run(main())


def test_what_outlived_its_hard_limit_keeps_its_lease_while_the_process_lives(ledger):
    """Another worker must not begin what still runs here: each look moves its end away (B17)."""

    async def main():
        async with bench(ledger) as b:
            remnant, other = await running(b, 2)
            before = {one.lease.job_id: ledger.job(one.lease.job_id).attempt_ends_at for one in b.started}
            remnant.is_abandoned = True
            await keeper_of(b).look()
            ends = {job_id: ledger.job(job_id).attempt_ends_at for job_id in before}
            assert before[other.lease.job_id] == ends[other.lease.job_id]
            assert [(remnant.lease.job_id, leases_module.REMNANT_SECONDS)] == [
                (leases[0].job_id, seconds) for leases, seconds in b.line.asked("prolong")
            ]

    asyncio.run(main())


def test_who_does_not_end_after_a_cancel_is_cancelled_again(ledger, monkeypatch):
    """Once, then not before its time to clean up is over, then each time that it is over again."""
    monkeypatch.setattr(leases_module, "LOOKS_BEFORE_NEXT_CANCEL", 3)

    async def main():
        async with bench(ledger) as b:
            (attempt,) = await running(b)
            cancelled, keeper = heard(attempt), keeper_of(b)
            ledger.cancel(attempt.lease.job_id)
            counts = []
            for _ in range(8):
                await keeper.look()
                counts.append(len(cancelled))
            assert [1, 1, 1, 2, 2, 2, 3, 3] == counts
            assert Interrupt.CANCEL is attempt.interrupted

    asyncio.run(main())
