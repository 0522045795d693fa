"""The loop's thread and its watch."""

import asyncio
import threading

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import LoopBlocked
from holdfast.tests.support.waiting import until
from holdfast.workers import loop as loop_module
from holdfast.workers.loop import LoopThread


@pytest.fixture
def quick(monkeypatch):
    """Ticks and looks every few milliseconds."""
    monkeypatch.setattr(loop_module, "TICK_SECONDS", 0.002)
    monkeypatch.setattr(loop_module, "BLOCKED_SECONDS", 0.05)


@pytest.fixture
def thread(quick, events):
    """A loop that runs."""
    made = LoopThread(clock=SystemClock(), events=events, task_of=lambda job_id: f"task of {job_id}")
    made.start()
    yield made
    made.stop(5.0)


def test_it_runs_what_is_submitted(thread):
    """Coroutines and functions, from another thread."""
    heard = threading.Event()

    async def answer():
        return threading.current_thread().name

    assert "holdfast-loop" == thread.submit(answer()).result(5)
    thread.call(heard.set)
    assert heard.wait(5)


def test_it_ticks(thread):
    """The age of the last tick is the proof that the loop turns."""
    before = thread.ticked_at
    until(lambda: thread.ticked_at > before, what="a tick")
    assert thread.tick_age_seconds < 5


def test_a_blocked_loop_is_reported_once_with_its_job(thread, seen):
    """Whose handler holds the loop is what the operator must know."""
    release, ended = threading.Event(), threading.Event()

    async def hold():
        release.wait(5)

    thread.call(
        lambda: thread.loop.create_task(hold(), name="job-7").add_done_callback(lambda _: ended.set())
    )
    until(lambda: seen, what="the report")
    release.set()
    assert ended.wait(5)
    (blocked,) = seen
    assert isinstance(blocked, LoopBlocked)
    assert ("job-7", "task of job-7") == (blocked.job_id, blocked.task)
    assert blocked.seconds >= 0.05


def test_each_blockade_is_reported(thread, seen):
    """After the loop turned again the next one is news."""
    for count in (1, 2):
        release = threading.Event()

        async def hold(release=release):
            release.wait(5)

        held = thread.submit(hold())
        until(lambda count=count: len(seen) == count, what="a report")
        release.set()
        held.result(5)
        until(lambda: not thread._is_reported, what="a turn that the watch saw")  # noqa: SLF001 -- what cannot be seen from outside


def test_a_stop_cancels_what_is_left_and_closes_the_loop(quick, events):
    """Nothing survives it, and a second stop does nothing."""
    made, cancelled, begun = (
        LoopThread(clock=SystemClock(), events=events, task_of=str),
        threading.Event(),
        threading.Event(),
    )

    async def wait():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    made.start()
    made.submit(wait())
    assert begun.wait(5)
    made.stop(5.0)
    assert cancelled.is_set()
    assert made.loop.is_closed()
    made.call(lambda: None)
    made.stop(5.0)


def test_a_loop_that_never_ran_is_closed_by_its_stop(events):
    """A worker that failed to start leaves no open loop behind."""
    made = LoopThread(clock=SystemClock(), events=events, task_of=str)
    made.stop(1.0)
    assert made.loop.is_closed()


def test_a_loop_that_waits_for_a_thread_which_never_begins_is_known(thread, monkeypatch):
    """As where the new thread found no memory: the standard start waits for it without end."""
    born = threading.Event()

    class Unborn(threading.Thread):
        def _bootstrap(self):
            born.wait(5)
            super()._bootstrap()

    assert not thread.waits_for_a_thread
    thread.call(Unborn(target=bool, daemon=True).start)
    until(lambda: thread.waits_for_a_thread, what="the start of the thread")
    born.set()
    until(lambda: not thread.waits_for_a_thread, what="its first step")
