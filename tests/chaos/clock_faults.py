"""Stories about workers whose wall clock is wrong: a really shifted one (see `tests/support/clocks.py`).

The monotonic clock is left alone, as a set wall clock leaves it. A worker's clock decides nothing
(leases are judged on monotonic clocks, due times by the database), so nothing may happen.
"""

from holdfast.tests.chaos import tasks
from holdfast.tests.chaos.job_faults import early_jobs
from holdfast.tests.chaos.judge import Books
from holdfast.tests.chaos.scene import JOBS, Scene
from holdfast.tests.chaos.worker_faults import PATIENCE_SECONDS
from holdfast.tests.support.clocks import ShiftedClock

HOUR_SECONDS = 3600
FIVE_MINUTES = 300
SEEN_SECONDS = 60
"""A shift that the witness does not see by at least so much did not take place."""


def f14(scene: Scene) -> None:
    """One of two workers' clock is five minutes ahead, and the other one is killed."""
    _shifted(scene, FIVE_MINUTES)


def clock_behind(scene: Scene) -> None:
    """One of two workers' clock is an hour behind, and the other one is killed."""
    _shifted(scene, -HOUR_SECONDS)


def clock_ahead(scene: Scene) -> None:
    """One of two workers' clock is an hour ahead, and the other one is killed."""
    _shifted(scene, HOUR_SECONDS)


def clock_jumps(scene: Scene) -> None:
    """One of two workers' clock jumps an hour ahead in mid-job, and then two hours back."""
    clock = _begin(scene, 0)
    clock.set(HOUR_SECONDS)
    scene.until_heard("keyed", 100)
    clock.set(-HOUR_SECONDS)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(lambda books: _seen(scene, books))


def _shifted(scene: Scene, seconds: int) -> None:
    _begin(scene, seconds)
    scene.fleet[1].kill_worker()
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(lambda books: _seen(scene, books))


def _begin(scene: Scene, seconds: int) -> ShiftedClock:
    clock = ShiftedClock(scene.folder)
    clock.set(seconds)
    scene.worker(variables=clock.variables)
    scene.worker()
    scene.fleet.until_ready()
    scene.enqueue(tasks.work, [(1.0,)] * (JOBS // 2))
    early_jobs(scene)
    scene.until_heard("start", JOBS // 2 - 20)
    return clock


def _seen(scene: Scene, books: Books) -> str:
    """Tell from what the witness was shown that the clock was really wrong."""
    starts = [word for word in books.heard if word["say"] == "start"]
    # Wall clock minus monotonic clock is the same number everywhere but where the wall clock is wrong.
    offsets = [word["wall"] - word["at"] for word in starts]
    spread = max(offsets) - min(offsets)
    scene.extra["seconds_between_the_clocks"] = round(spread)
    return "" if spread > SEEN_SECONDS else "the clock was not shifted"
