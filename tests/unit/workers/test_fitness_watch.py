"""The watch that carries the verdict out, where nothing of the worker can be relied upon any more."""

from types import SimpleNamespace

import pytest

from holdfast.jobs.events import WorkerUnfit
from holdfast.tests.support.bench import FakeClock
from holdfast.workers.fitness import UNFIT
from holdfast.workers.services.fitness import UNBORN_LOOKS, FitnessWatch


class Worker:
    """A worker as the watch sees it."""

    def __init__(self):
        self.worker_id = "worker"
        self.gate = SimpleNamespace(holds=SimpleNamespace(starved=0), is_suspended=False)
        self.loop = SimpleNamespace(tick_age_seconds=60.0, waits_for_a_thread=True, call=lambda work: work())
        self.is_draining = False

    def begin_drain(self):
        """Note it."""
        self.is_draining = True

    def leave_by_itself(self, exit_code):
        """Nobody can leave in good order here."""
        pytest.fail(f"asked to leave with {exit_code}")


@pytest.fixture
def watched(events):
    """A watch, its worker, and the codes that the process was ended with."""
    worker, ended = Worker(), []
    watch = FitnessWatch(
        worker, memory_limit_mb=0, unsure_limit_seconds=600.0, events=events, clock=FakeClock(),
        free_files=lambda: 1000, end=ended.append,
    )  # fmt: skip
    return watch, worker, ended


def test_a_loop_that_waits_for_an_unborn_thread_ends_the_process(watched, seen):
    """It may hold the database's only write lock, so nothing is handed back: others take over at once."""
    watch, worker, ended = watched
    for _ in range(UNBORN_LOOKS - 1):
        watch.run_once()
    assert ([], False) == (ended, worker.is_draining)
    watch.run_once()
    assert ([UNFIT], True) == (ended, worker.is_draining)
    assert [WorkerUnfit("worker", why="no memory to start a thread", leaves=True)] == seen


@pytest.mark.parametrize("sign", [{"tick_age_seconds": 0.1}, {"waits_for_a_thread": False}])
def test_a_loop_that_goes_on_is_let_be(watched, sign):
    """One look at which it turned, or did something else, and all begins anew."""
    watch, worker, ended = watched
    bad = dict(vars(worker.loop))
    for _ in range(3):
        for _ in range(UNBORN_LOOKS - 1):
            watch.run_once()
        vars(worker.loop).update(sign)
        watch.run_once()
        vars(worker.loop).update(bad)
    assert [] == ended


def test_who_cannot_even_tell_ends_all_the_same(watched, monkeypatch):
    """There may be no memory for the report either."""
    watch, worker, ended = watched
    monkeypatch.setattr(worker, "begin_drain", lambda: bytearray(2**62))
    for _ in range(UNBORN_LOOKS):
        watch.run_once()
    assert [UNFIT] == ended
