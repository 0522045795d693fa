"""The gate: slots, rings, claims in doubt, drain."""

import asyncio

import pytest

from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import LeaseWasLost
from holdfast.jobs.ids import new_worker_id
from holdfast.jobs.job import Apart
from holdfast.jobs.ring_events import RingDropped, RingTurned
from holdfast.jobs.state import JobState
from holdfast.tests.support.bench import bench, claimed, enqueued, registered, turns
from holdfast.tests.support.builders import TASK, a_worker, an_offer
from holdfast.workers import gate as gate_module
from holdfast.workers.attempt import Interrupt
from holdfast.workers.placement import Isolated, Threaded

RUNNING, AVAILABLE = JobState.RUNNING, JobState.AVAILABLE


@pytest.fixture
def lively(monkeypatch):
    """A gate that looks every few milliseconds whether it is quiet."""
    monkeypatch.setattr(gate_module, "QUIET_SECONDS", 0.01)


def test_a_ring_is_acknowledged_only_after_its_claim_is_committed(ledger):
    """While the claim is under way the ring stays with the broker."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            b.line.flow.clear()
            b.ring(job)
            await turns(lambda: b.line.count("claim"))
            assert [] == b.rings.acked
            b.line.flow.set()
            await b.until_started(1)
            assert [job] == b.rings.acked
            assert RUNNING == ledger.job(job).state

    asyncio.run(main())


def test_no_more_jobs_run_than_there_are_slots(ledger):
    """Five rings on two slots: two claims, and each end of a job lets the next one in."""

    async def main():
        async with bench(ledger, slots=2) as b:
            jobs = enqueued(ledger, 5)
            b.ring(*jobs)
            await b.until_started(2)
            assert (0, 2) == (b.gate.free, len(b.rings.acked))
            assert not b.gate.has_room()
            b.may_end.set()
            await b.until_started(5)
            assert sorted(jobs) == sorted(b.rings.acked)

    asyncio.run(main())


def test_what_arrives_while_a_claim_is_under_way_is_claimed_together(ledger):
    """One claim at a time, and the next one takes all that waits."""

    async def main():
        async with bench(ledger, slots=10) as b:
            first, *rest = enqueued(ledger, 6)
            b.line.flow.clear()
            b.ring(first)
            await turns(lambda: b.line.count("claim"))
            b.ring(*rest)
            await asyncio.sleep(0)
            b.line.flow.set()
            await b.until_started(6)
            assert [1, 5] == [len(requests) for _, requests in b.line.asked("claim")]

    asyncio.run(main())


def test_a_doubled_ring_is_dropped_and_acknowledged(ledger):
    """The second ring for a job that runs here, or waits here, costs nothing and blocks nothing."""

    async def main():
        async with bench(ledger) as b:
            job, other = enqueued(ledger, 2)
            b.ring(job, job)
            await b.until_started(1)
            b.ring(job, other)
            await b.until_started(2)
            await turns(lambda: len(b.rings.acked) == 4)
            assert ["already here", "already here"] == [event.why for event in b.happened(RingDropped)]

    asyncio.run(main())


def test_rings_behind_doubles_are_not_forgotten(ledger):
    """With one free slot and a double in front, the ring behind it is claimed at once."""

    async def main():
        async with bench(ledger, slots=2) as b:
            job, other = enqueued(ledger, 2)
            b.ring(job)
            await b.until_started(1)
            b.ring(job, other)
            # Sooner than the look at a quiet gate, which would find it, too.
            await turns(lambda: len(b.started) == 2, timeout_seconds=0.5)

    asyncio.run(main())


def test_a_ring_for_a_job_that_cannot_run_is_dropped(ledger):
    """A ring whose claim finds nothing is acknowledged and forgotten."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            ledger.cancel(job, "changed my mind")
            b.ring(job)
            await turns(lambda: b.rings.acked)
            assert ["not available here"] == [event.why for event in b.happened(RingDropped)]
            assert {} == b.gate.running

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_claim_in_doubt_is_repeated_under_the_same_tokens(ledger, fault):
    """Whether or not the lost claim was committed, the job runs once and the ring is acknowledged once."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            getattr(b.line, fault).add("claim")
            b.ring(job)
            await turns(lambda: b.gate.is_suspended)
            assert [] == b.rings.acked
            (tokens,) = [{one.token for one in requests} for _, requests in b.line.asked("claim")]
            assert tokens == b.gate.tokens_under_way(), "the reconciliation must not take them for strays"
            getattr(b.line, fault).clear()
            b.gate.resume()
            await b.until_started(1)
            assert tokens == {b.started[0].lease.token}
            assert [job] == b.rings.acked
            assert set() == b.gate.tokens_under_way()

    asyncio.run(main())


def test_a_claim_in_doubt_comes_before_any_other(ledger):
    """Its jobs may hold slots already, so nothing else is claimed until it is known."""

    async def main():
        async with bench(ledger, slots=2) as b:
            first, second = enqueued(ledger, 2), enqueued(ledger, 2)
            b.line.after.add("claim")
            b.ring(*first)
            await turns(lambda: b.gate.is_suspended)
            b.ring(*second)
            b.line.after.clear()
            b.gate.resume()
            await b.until_started(2)
            assert sorted(first) == sorted(attempt.lease.job_id for attempt in b.started)
            assert 0 == b.gate.free
            b.may_end.set()
            await b.until_started(4)
            assert sorted(first + second) == sorted(b.rings.acked)

    asyncio.run(main())


def test_a_second_outage_does_not_forget_the_first(ledger):
    """However often the claim fails, its rings are neither lost nor acknowledged before it is known."""

    async def main():
        async with bench(ledger) as b:
            job, other = enqueued(ledger, 2)
            b.line.after.add("claim")
            b.ring(job)
            await turns(lambda: b.gate.is_suspended)
            b.ring(other)
            b.gate.resume()
            await turns(lambda: b.line.count("claim") == 2 and b.gate.is_suspended)
            b.line.after.clear()
            b.gate.resume()
            await b.until_started(2)
            assert sorted([job, other]) == sorted(b.rings.acked)

    asyncio.run(main())


def test_nothing_is_claimed_while_the_ledger_is_away(ledger):
    """A suspended gate keeps its rings and asks nothing."""

    async def main():
        async with bench(ledger) as b:
            b.gate.is_suspended = True
            (job,) = enqueued(ledger)
            b.ring(job)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ([], 0) == (b.rings.acked, b.line.count("claim"))
            b.gate.resume()
            await b.until_started(1)

    asyncio.run(main())


def test_a_worker_that_was_declared_dead_keeps_its_rings_for_its_next_life(ledger):
    """LeaseLost at the claim: nothing is acknowledged; under a new id the same rings are claimed."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            ledger.declare_dead(b.worker_id, 0)
            b.ring(job)
            await turns(lambda: b.gate.is_suspended)
            assert [] == b.rings.acked
            b.worker_id = registered(ledger)
            b.gate.resume()
            await b.until_started(1)
            assert b.worker_id == ledger.job(job).worker_id
            assert [job] == b.rings.acked

    asyncio.run(main())


def test_an_unknown_worker_claims_nothing(ledger):
    """A claim without a worker's row is refused, and the rings wait."""

    async def main():
        async with bench(ledger) as b:
            b.worker_id = new_worker_id()
            (job,) = enqueued(ledger)
            b.ring(job)
            await turns(lambda: b.gate.is_suspended)
            assert AVAILABLE == ledger.job(job).state

    asyncio.run(main())


def test_a_closed_gate_gives_waiting_rings_back(ledger):
    """A drain requeues what waits for a slot, at once and also what comes later."""

    async def main():
        async with bench(ledger, slots=1) as b:
            first, second, third = enqueued(ledger, 3)
            b.ring(first)
            await b.until_started(1)
            b.ring(second)
            await asyncio.sleep(0)
            b.gate.close()
            assert [second] == b.rings.requeued
            b.ring(third)
            await turns(lambda: len(b.rings.requeued) == 2)
            assert not b.gate.has_room()
            assert 1 == b.line.count("claim")

    asyncio.run(main())


def test_a_claim_that_was_under_way_when_the_drain_began_is_waited_for(ledger):
    """Its jobs are admitted with the order to hand them back, so that none is left running by nobody."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            b.line.flow.clear()
            b.ring(job)
            await turns(lambda: b.line.count("claim"))
            b.gate.close()
            ending = asyncio.ensure_future(b.gate.settle_down(5.0))
            b.line.flow.set()
            await b.until_started(1)
            assert not ending.done()
            assert Interrupt.DRAIN is b.started[0].interrupted
            b.may_end.set()
            await ending

    asyncio.run(main())


def test_settling_down_ends_with_its_time(ledger):
    """What does not end in time is left to the caller."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            b.ring(job)
            await b.until_started(1)
            await b.gate.settle_down(0)
            assert [job] == list(b.gate.running)

    asyncio.run(main())


def test_a_quiet_worker_asks_the_ledger_itself(ledger, lively, clock):
    """A lost ring costs a second on a worker with room, not the stager's next round (B10)."""

    async def main():
        async with bench(ledger, slots=3, clock=clock) as b:
            jobs = enqueued(ledger, 2)
            clock.advance(1.0)
            await b.until_started(2)
            assert sorted(jobs) == sorted(attempt.lease.job_id for attempt in b.started)
            assert [] == b.rings.acked

    asyncio.run(main())


def test_room_for_isolated_jobs_keeps_nobody_else_waiting(ledger, lively, clock):
    """The look for suspects, which finds none, is over before a quiet worker asks for any job."""

    async def main():
        async with bench(ledger, clock=clock, isolated=Isolated(wishes=lambda: [(Apart(), 1)])) as b:
            jobs = enqueued(ledger, 2)
            clock.advance(1.0)
            await b.until_started(2)
            assert sorted(jobs) == sorted(attempt.lease.job_id for attempt in b.started)

    asyncio.run(main())


def test_a_claim_for_isolated_jobs_in_doubt_takes_no_others(ledger, lively, clock):
    """It is repeated as what it was: there may be more room apart than there are slots."""

    async def main():
        room = [(Apart(), 5)]
        async with bench(ledger, slots=1, clock=clock, isolated=Isolated(wishes=lambda: room)) as b:
            b.line.before.add("claim")
            await turns(lambda: b.gate.is_suspended)
            room.clear()
            enqueued(ledger, 5)
            b.line.before.clear()
            b.gate.resume()
            clock.advance(1.0)
            await b.until_started(1)
            assert 1 == len(b.started)

    asyncio.run(main())


def test_isolated_jobs_take_no_slots(ledger, clock):
    """A ring of an isolated task says only that there is one; it is claimed while a process is free."""

    async def main():
        room = [(Apart(), 1)]
        isolated = Isolated(frozenset({"tests.echo"}), lambda: room[: 2 - len(b.started)])
        async with bench(ledger, slots=1, clock=clock, isolated=isolated) as b:
            first, second = enqueued(ledger, 2, cohort=1)
            b.ring(first, second, task="tests.echo")
            await b.until_started(2)
            assert [first, second] == b.rings.acked
            assert 1 == b.gate.free

    asyncio.run(main())


def test_an_isolated_job_that_is_ending_here_is_left_to_others(ledger, lively, clock):
    """Cut off, and free in the ledger before it has ended: it is not claimed again and again."""

    async def main():
        isolated = Isolated(wishes=lambda: [(Apart(), 2)])
        async with bench(ledger, slots=4, clock=clock, isolated=isolated) as b:
            (job,) = enqueued(ledger, cohort=1)
            await b.until_started(1)
            b.started[0].interrupt(Interrupt.SOFT_TIMEOUT)
            # One that was under way knew nothing of it.
            for is_free in (False, True):
                if is_free:
                    ledger.hand_back([b.started[0].lease], "it ran past its end")
                asked = b.line.count("claim")
                clock.advance(5.0)
                await turns(lambda before=asked: b.line.count("claim") >= before + 4)
            assert (AVAILABLE, 1) == (ledger.job(job).state, ledger.job(job).claims)

    asyncio.run(main())


def test_what_was_claimed_and_given_back_is_no_reason_to_look_again(ledger, clock):
    """The next look comes with its time."""

    async def main():
        room = []
        async with bench(ledger, clock=clock, isolated=Isolated(wishes=lambda: list(room))) as b:
            (job,) = enqueued(ledger, cohort=1)
            room.append((Apart(), 1))
            b.gate.look_apart()
            await b.until_started(1)
            ledger.hand_back([b.started[0].lease], "somebody else's doing")
            b.gate.look_apart()
            await turns(lambda: ledger.job(job).claims == 2 and ledger.job(job).state is AVAILABLE)
            asked = b.line.count("claim")
            for _ in range(50):
                await asyncio.sleep(0)
            assert asked == b.line.count("claim")

    asyncio.run(main())


def test_a_broker_that_is_away_costs_no_speed(ledger, clock):
    """While no ring comes and the ledger has more, a slot that becomes free is used at once."""

    async def main():
        async with bench(ledger, slots=1, clock=clock) as b:
            enqueued(ledger, 20)
            clock.advance(1.0)
            # One look at the quiet gate for each job would take twenty seconds.
            async with asyncio.timeout(10):
                for number in range(1, 21):
                    await b.until_started(number)
                    b.may_end.set()
                    b.may_end.clear()

    asyncio.run(main())


def test_a_worker_that_hears_rings_does_not_ask_by_itself(ledger, lively, clock):
    """Direct claims are for silence only: the clock has not moved since the start."""

    async def main():
        async with bench(ledger, clock=clock) as b:
            enqueued(ledger)
            job = enqueued(ledger)[0]
            b.ring(job)
            await b.until_started(1)
            assert [1] == [len(requests) for _, requests in b.line.asked("claim")]
            assert [job] == [attempt.lease.job_id for attempt in b.started]

    asyncio.run(main())


def test_a_quiet_claim_in_doubt_is_repeated(ledger, lively, clock):
    """Direct claims have no ring that comes again: their tokens are asked for until it is known."""

    async def main():
        async with bench(ledger, clock=clock) as b:
            (job,) = enqueued(ledger)
            b.line.after.add("claim")
            clock.advance(1.0)
            await turns(lambda: b.gate.is_suspended)
            b.line.after.clear()
            b.gate.resume()
            await b.until_started(1)
            assert [job] == list(b.gate.running)
            assert 1 == ledger.job(job).claims

    asyncio.run(main())


def test_a_ring_that_waited_for_a_minute_is_given_up(ledger, lively, clock):
    """It is acknowledged after the ledger was told to ring again.

    So that nobody holds a ring for hours (B29).
    """

    async def main():
        async with bench(ledger, clock=clock) as b:
            old, young = enqueued(ledger, 2)
            b.gate.is_suspended = True
            b.ring(old)
            await asyncio.sleep(0)
            clock.advance(gate_module.STALE_RING_SECONDS - 1)
            b.ring(young)
            await asyncio.sleep(0)
            assert [] == b.rings.acked
            clock.advance(1)
            await turns(lambda: b.rings.acked)
            assert [old] == b.rings.acked
            assert [old] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch=ledger.epoch())]

    asyncio.run(main())


def test_a_ring_for_a_task_of_a_newer_worker_comes_again_soon(ledger, lively):
    """In the midst of a deploy the ring may have reached the wrong half of the fleet."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger, task="newer")
            assert 0 == len(ledger.due_rings(limit=10, epoch=None))
            ledger.ring_soon([job])
            assert 1 == len(ledger.due_rings(limit=10, epoch=None))
            b.ring(job)
            await turns(lambda: b.rings.acked)
            await turns(lambda: ledger.due_rings(limit=10, epoch=None))

    asyncio.run(main())


def test_many_rings_for_nobody_here_are_passed_on_at_once(ledger, lively):
    """Ten thousand jobs of a newer task cost an older worker a few transactions."""

    async def main():
        async with bench(ledger) as b:
            jobs = enqueued(ledger, 500, task="newer")
            ledger.ring_soon(jobs)
            assert 500 == len(ledger.due_rings(limit=1000, epoch=None))
            for job in jobs:
                b.gate.pass_on(job)
            told = []
            await turns(lambda: told.extend(ledger.due_rings(limit=1000, epoch=None)) or len(told) == 500)
            assert b.line.count("ring_soon") <= 2

    asyncio.run(main())


def test_a_stale_ring_is_kept_while_the_ledger_cannot_be_told(ledger, lively, clock):
    """Nothing is acknowledged that the ledger would not ring again."""

    async def main():
        async with bench(ledger, clock=clock) as b:
            (job,) = enqueued(ledger)
            b.gate.is_suspended = True
            b.ring(job)
            await asyncio.sleep(0)
            b.line.before.add("ring_soon")
            clock.advance(gate_module.STALE_RING_SECONDS)
            await turns(lambda: b.line.count("ring_soon") >= 2)
            assert [] == b.rings.acked
            b.line.before.clear()
            await turns(lambda: b.rings.acked == [job])

    asyncio.run(main())


def test_a_worker_that_stays_full_gives_its_rings_back(ledger, lively):
    """Brokers that push are paused, and what waits here may run elsewhere (B29)."""

    async def main():
        async with bench(ledger, slots=1) as b:
            first, second = enqueued(ledger, 2)
            b.ring(first)
            await b.until_started(1)
            assert 0 == b.stuffed
            b.ring(second)
            await turns(lambda: b.rings.requeued)
            assert ([second], 1) == (b.rings.requeued, b.stuffed)

    asyncio.run(main())


def test_room_is_what_free_slots_leave_over(ledger):
    """Rings that wait count, so that a worker pops no more than it can run."""

    async def main():
        async with bench(ledger, slots=2) as b:
            b.gate.is_suspended = True
            one, two = enqueued(ledger, 2)
            assert b.gate.has_room()
            b.ring(one)
            assert b.gate.has_room()
            b.ring(two)
            assert not b.gate.has_room()

    asyncio.run(main())


def test_the_consumer_is_told_when_the_gate_becomes_full_and_when_it_has_room(ledger):
    """One word for each change, no more."""

    async def main():
        async with bench(ledger, slots=1) as b:
            (job,) = enqueued(ledger)
            b.ring(job)
            await b.until_started(1)
            assert [False] == b.room
            b.may_end.set()
            await turns(lambda: not b.gate.running)
            assert [False, True] == b.room

    asyncio.run(main())


def test_where_more_waits_than_can_run_tenants_take_turns(ledger):
    """A gate that is full lets a ring call for whoever's turn it is; all jobs are run, none of them twice."""

    async def main():
        async with bench(ledger, slots=1) as b:
            many = enqueued(ledger, 6, tenant="a")
            late = enqueued(ledger, tenant="b")
            b.ring(*many, *late)
            await b.until_started(1)
            b.may_end.set()
            await b.until_started(7)
            started = [attempt.lease.job_id for attempt in b.started]
            assert late[0] in started[:3]
            assert sorted([*many, *late]) == sorted(started)
            assert sorted([*many, *late]) == sorted(b.rings.acked)
            assert [] == b.happened(RingDropped)
            turned = b.happened(RingTurned)
            assert late[0] in {event.brought for event in turned}
            assert all(event.job_id != event.brought for event in turned)

    asyncio.run(main())


def test_a_ring_that_nobody_comes_for_calls_by_name(ledger):
    """It is dropped only if the job that it names is not to be had here."""

    async def main():
        async with bench(ledger, slots=1) as b:
            (first,), (gone,) = enqueued(ledger), enqueued(ledger)
            (elsewhere,) = enqueued(ledger, task="not.here")
            b.ring(first)
            await b.until_started(1)
            ledger.cancel(gone, "changed my mind")
            b.ring(gone, elsewhere)
            b.may_end.set()
            await turns(lambda: len(b.rings.acked) == 3)
            assert ["not available here"] * 2 == [event.why for event in b.happened(RingDropped)]
            assert [[first], [None], [gone], [elsewhere]] == [
                [request.job_id for request in requests] for _, requests in b.line.asked("claim")
            ]

    asyncio.run(main())


def test_rings_of_a_lost_connection_are_forgotten(ledger, clock):
    """They cannot be acknowledged any more; those of the next connection stay."""

    async def main():
        async with bench(ledger, slots=1, clock=clock) as b:
            first, old, new = enqueued(ledger, 3)
            b.ring(first)
            await b.until_started(1)
            b.ring(old)
            clock.advance(0.5)
            lost_at = clock.monotonic()
            clock.advance(0.5)
            b.ring(new)
            b.gate.forget_rings(lost_at)
            b.may_end.set()
            await b.until_started(2)
            assert [first, new] == b.rings.acked

    asyncio.run(main())


def test_a_job_is_not_started_beside_a_remnant_of_itself(ledger, lively, clock):
    """A handler that lost its lease and has not ended keeps its job out of this process (B17)."""

    async def main():
        async with bench(ledger, slots=4, clock=clock) as b:
            (job,) = enqueued(ledger)
            b.ring(job)
            await b.until_started(1)
            ledger.hand_back([b.started[0].lease], "somebody else's doing")
            b.gate.lose(b.started[0], where="test")
            clock.advance(5.0)
            asked = b.line.count("claim")
            await turns(lambda: b.line.count("claim") >= asked + 3)
            b.ring(job)
            await turns(lambda: len(b.rings.acked) == 2)
            assert AVAILABLE == ledger.job(job).state
            assert 1 == len(b.happened(LeaseWasLost))
            # The others are claimed all the same, though nobody rings: a thread may never end.
            ledger.cancel(job)
            (other,) = enqueued(ledger)
            clock.advance(1.0)
            await b.until_started(2)
            assert [job, other] == [attempt.lease.job_id for attempt in b.started]

    asyncio.run(main())


def test_what_runs_on_threads_is_claimed_only_while_one_is_free(ledger, lively, clock):
    """Claimed and waiting in line it would spend its limits; its ring goes back, for others."""

    async def main():
        async with bench(ledger, slots=10, clock=clock, threaded=Threaded(frozenset({TASK}), threads=2)) as b:
            jobs = enqueued(ledger, 5)
            b.ring(*jobs, task=TASK)
            await b.until_started(2)
            await turns(lambda: sorted(b.rings.requeued) == sorted(jobs[2:]))
            assert (2, 8) == (len(b.gate.running), b.gate.free)
            b.may_end.set()
            clock.advance(1.0)
            await b.until_started(5)

    asyncio.run(main())


def test_without_a_free_thread_a_quiet_worker_claims_what_needs_none(ledger, lively, clock):
    """Jobs of coroutines go on while the line for the threads is long."""

    async def main():
        threaded = Threaded(frozenset({"tests.def"}), threads=1)
        async with bench(ledger, slots=10, clock=clock, threaded=threaded) as b:
            ledger.register_worker(a_worker(id=b.worker_id), [an_offer(task="tests.def")])
            heavy = enqueued(ledger, 3, task="tests.def")
            clock.advance(1.0)
            await b.until_started(1)
            (light,) = enqueued(ledger)
            clock.advance(1.0)
            await b.until_started(2)
            assert (True, light) == (b.started[0].lease.job_id in heavy, b.started[1].lease.job_id)

    asyncio.run(main())


def test_a_claim_that_meets_a_remnant_is_handed_back(ledger):
    """If a direct claim was under way when the lease was lost, the job goes to another worker."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            b.ring(job)
            await b.until_started(1)
            ledger.hand_back([b.started[0].lease], "somebody else's doing")
            again = claimed(ledger, b.worker_id, job)
            b.gate._admit([again], [])  # noqa: SLF001 -- what cannot be seen from outside
            await turns(lambda: ledger.job(job).state is AVAILABLE)
            assert b.started == [b.gate.running[job]]

    asyncio.run(main())


def test_an_execution_that_fails_gives_its_slot_back(ledger):
    """Whatever leaves an attempt, the slot is free again."""

    async def main():
        async with bench(ledger, slots=1) as b:

            async def broken(attempt):
                raise RuntimeError("a bug of ours")

            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            b.gate._run = broken  # noqa: SLF001 -- what cannot be seen from outside
            (job,) = enqueued(ledger)
            b.ring(job)
            await turns(lambda: b.rings.acked and not b.gate.running)
            assert 1 == b.gate.free

    asyncio.run(main())


def test_an_error_that_is_no_outage_stops_no_ring(ledger):
    """A claim that the ledger refuses for good leaves its rings unacknowledged and is asked again."""

    async def main():
        async with bench(ledger) as b:
            (job,) = enqueued(ledger)
            b.line.errors["claim"] = LedgerError(detail="a table is gone")
            b.ring(job)
            await turns(lambda: b.gate.is_suspended)
            b.line.errors.clear()
            b.gate.resume()
            await b.until_started(1)

    asyncio.run(main())
