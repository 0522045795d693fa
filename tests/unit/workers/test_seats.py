"""Who runs is on the shared page: on the loop step by step, on threads from begin to end."""

import asyncio
import threading

import pytest

from holdfast.jobs.ids import new_lease_token
from holdfast.workers.companion.page import MOST_SEATS, Page
from holdfast.workers.companion.seats import Seats


@pytest.fixture
def page():
    """A page that nobody reads."""
    return Page()


def on_loop_now(page: Page) -> str:
    """Return the token of the job that is on the loop, as the companion would read it."""
    return next((seat.token for seat in page.seats() if seat.number == page.on_loop), "")


def test_the_job_on_the_loop(page):
    """While a step runs its job is named, between steps another one, and at the end nobody."""
    one, two = new_lease_token(), new_lease_token()
    seen = []

    async def body(name):
        for _ in range(2):
            seen.append((name, on_loop_now(page)))
            await asyncio.sleep(0)
        return name

    async def both():
        seats = Seats(page)
        seats.watch(asyncio.get_running_loop())
        tasks = [asyncio.create_task(seats.on_loop(token, body(token))) for token in (one, two)]
        assert [one, two] == await asyncio.gather(*tasks)

    asyncio.run(both())
    assert [(one, one), (two, two)] * 2 == seen
    assert [] == page.seats()
    assert 0 == page.on_loop


def test_what_a_job_starts_is_its_own(page):
    """Tasks that a handler makes are marked as it, and as nobody when it has ended."""
    token = new_lease_token()
    seen = []

    async def child(gate):
        seen.append(on_loop_now(page))
        await gate.wait()
        seen.append(on_loop_now(page))

    async def handler(gate, tasks):
        tasks.append(asyncio.create_task(child(gate)))
        await asyncio.sleep(0)

    async def run():
        seats, gate, tasks = Seats(page), asyncio.Event(), []
        seats.watch(asyncio.get_running_loop())
        await asyncio.create_task(seats.on_loop(token, handler(gate, tasks)))
        gate.set()
        await tasks[0]

    asyncio.run(run())
    assert [token, ""] == seen


def test_cancellation_and_errors_pass_through(page):
    """A marked coroutine is cancelled and fails like any other."""

    async def fails():
        raise ValueError("as it should")

    async def run():
        seats = Seats(page)
        with pytest.raises(ValueError, match="as it should"):
            await asyncio.create_task(seats.on_loop(new_lease_token(), fails()))
        task = asyncio.create_task(seats.on_loop(new_lease_token(), asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [] == page.seats()
    assert 0 == page.on_loop


def test_a_job_on_a_thread(page):
    """It is named with its thread's identity."""
    token = new_lease_token()
    seats = Seats(page)
    (seat,) = seats.on_thread(token, page.seats)()
    assert (token, threading.get_ident()) == (seat.token, seat.thread)
    assert [] == page.seats()


def test_more_jobs_than_seats(page):
    """They run without a mark."""
    seats = Seats(page)
    calls = [seats.on_thread(new_lease_token(), lambda: "ran")]

    def nest(depth: int) -> str:
        return seats.on_thread(new_lease_token(), lambda: nest(depth - 1) if depth else calls[0]())()

    for _ in range(MOST_SEATS):
        seats._take(new_lease_token(), thread=0)  # noqa: SLF001 -- four thousand jobs, without running them
    assert "ran" == nest(3)
