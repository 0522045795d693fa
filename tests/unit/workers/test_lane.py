"""The isolation lane: what there is room for, and who waits for it. Real processes: tests/integration."""

import asyncio

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.job import Apart
from holdfast.tests.support.bench import turns
from holdfast.tests.support.builders import a_claim
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.companion.memory import OutOfMemoryCount
from holdfast.workers.executor import Stopped
from holdfast.workers.isolated import wire
from holdfast.workers.isolated.lane import Lane, _Cell
from holdfast.workers.isolated.nursery import Child, NurseryFailed
from holdfast.workers.verdicts import HandedBack, Verdict


class NoNursery:
    """A nursery whose children never come, or that fails."""

    def __init__(self, *, fails: Exception | None = None) -> None:
        self._fails = fails

    async def child(self, hear, *, memory_mb):
        """Keep everybody waiting."""
        if self._fails is not None:
            raise self._fails
        await asyncio.Event().wait()

    def kill(self, child):
        """There is nobody."""


def a_lane(events, *, processes=2, fails=None) -> Lane:
    """A lane without processes."""
    lane = Lane(
        processes=processes,
        memory_mb=None,
        events=events,
        monotonic=SystemClock().monotonic,
        memory=OutOfMemoryCount(lambda: 0),
    )
    lane._nursery = NoNursery(fails=fails)  # noqa: SLF001 -- what is tested is who waits, and for how long
    return lane


def begin(lane: Lane, cohort: int | None) -> "tuple[RunningAttempt, asyncio.Task[Verdict]]":
    """Let an attempt run there, or wait."""
    attempt = RunningAttempt(a_claim(cohort=cohort), 0.0)
    return attempt, asyncio.get_running_loop().create_task(lane.run(attempt, hard_seconds=60.0))


def test_what_there_is_room_for(events):
    """A free process may have any job; beside a suspect there is room for those of a cohort as large."""

    async def main():
        lane = a_lane(events)
        assert [(Apart(), 1)] == lane.wishes()
        _, first = begin(lane, 8)
        await asyncio.sleep(0)
        assert [(Apart(8), 7), (Apart(), 1)] == lane.wishes()
        _, alone = begin(lane, 1)
        _, beside = begin(lane, 20)
        await asyncio.sleep(0)
        assert [(Apart(8), 6)] == lane.wishes()
        for task in (first, alone, beside):
            task.cancel()

    asyncio.run(main())


def test_who_waits_for_room_hears_an_interrupt(events):
    """A drain does not wait for a process that another job has."""

    async def main():
        lane = a_lane(events, processes=1)
        _, first = begin(lane, 1)
        await asyncio.sleep(0)
        waiting, second = begin(lane, 1)
        await asyncio.sleep(0)
        assert not second.done()
        waiting.interrupt(Interrupt.DRAIN)
        with pytest.raises(Stopped):
            await asyncio.wait_for(second, 5.0)
        first.cancel()

    asyncio.run(main())


def test_a_nursery_that_fails_costs_no_attempt_and_is_left_in_peace(events):
    """The job goes back, not crashed and not lost; nothing more is claimed for a while."""

    async def main():
        lane = a_lane(events, fails=NurseryFailed("no module of that name"))
        _, running = begin(lane, 1)
        assert HandedBack("isolation does not start") == await asyncio.wait_for(running, 5.0)
        await turns(lambda: lane.wishes() == [])

    asyncio.run(main())


def test_each_process_that_cannot_be_had_is_waited_for_longer(events):
    """A second, then two, half a minute at most; and a second again after one that served."""
    now = [0.0]
    lane = a_lane(events)
    lane._monotonic = lambda: now[0]  # noqa: SLF001 -- the lane's clock
    rests = []
    for _ in range(7):
        lane._rest()  # noqa: SLF001 -- what a nursery that was lost calls
        rests.append(lane._rests_until - now[0])  # noqa: SLF001 -- how long
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == rests
    assert [] == lane.wishes()
    now[0] += 30.0
    assert [(Apart(), 1)] == lane.wishes()
    lane._hear(_Cell(1, None), {"ended": "t", "settled": None})  # noqa: SLF001 -- a child that served
    lane._rest()  # noqa: SLF001 -- see above
    assert 1.0 == lane._rests_until - now[0]  # noqa: SLF001 -- see above


def test_a_place_is_free_again_when_no_process_came(events):
    """Also if what went wrong was nothing that the nursery knows of."""

    async def main():
        lane = a_lane(events, processes=1, fails=RuntimeError("unheard of"))
        _, running = begin(lane, 1)
        with pytest.raises(RuntimeError, match="unheard of"):
            await asyncio.wait_for(running, 5.0)
        assert [(Apart(), 1)] == lane.wishes()

    asyncio.run(main())


class OneChild(NoNursery):
    """A nursery whose one child only listens."""

    def __init__(self):
        super().__init__()
        self.heard = []

    async def child(self, hear, *, memory_mb):
        made = Child(1)
        made.send = self.heard.append
        made.ready.set()
        return made


def test_a_ticket_goes_with_the_claim(events):
    """The child uses it or gives it back; the worker has it no more, or it would be given back twice.

    And it hears with the job what its share of a limit is.
    """

    async def main():
        lane, nursery = a_lane(events), OneChild()
        lane._nursery = nursery  # noqa: SLF001 -- as in a_lane
        lane.count_callers = lambda: 15
        attempt = RunningAttempt(a_claim(cohort=1, ticket="3||search"), 0.0)
        assert ["search"] == list(attempt.errand.tickets)
        running = asyncio.get_running_loop().create_task(lane.run(attempt, hard_seconds=60.0))
        await turns(lambda: nursery.heard)
        (message,) = nursery.heard
        assert "3||search" == wire.claim_of_json(message["run"]).job.ticket
        assert {} == attempt.errand.tickets
        assert (15, 1) == (message["callers"], lane.in_use)
        running.cancel()

    asyncio.run(main())
