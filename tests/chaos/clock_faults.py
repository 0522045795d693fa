"""Stories about workers whose wall clock is wrong: a really shifted one, by libfaketime (Debian: faketime).

The monotonic clock is left alone, as a set wall clock leaves it. A worker's clock decides nothing
(leases are judged on monotonic clocks, due times by the database), so nothing may happen.
"""

from pathlib import Path

from holdfast.tests.chaos import tasks
from holdfast.tests.chaos.job_faults import early_jobs
from holdfast.tests.chaos.judge import Books
from holdfast.tests.chaos.scene import JOBS, Scene
from holdfast.tests.chaos.worker_faults import PATIENCE_SECONDS

LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"),
    Path("/usr/lib64/faketime/libfaketimeMT.so.1"),
)
HOUR_SECONDS = 3600
FIVE_MINUTES = 300
SEEN_SECONDS = 60
"""A shift that the witness does not see by at least so much did not take place."""


def library() -> Path | None:
    """Find libfaketime; None where it is not installed."""
    return next((path for path in LIBRARIES if path.exists()), None)


def f14(scene: Scene) -> None:
    """One of two workers' clock is five minutes ahead."""
    _shifted(scene, FIVE_MINUTES)


def clock_behind(scene: Scene) -> None:
    """One of two workers' clock is an hour behind."""
    _shifted(scene, -HOUR_SECONDS)


def clock_ahead(scene: Scene) -> None:
    """One of two workers' clock is an hour ahead."""
    _shifted(scene, HOUR_SECONDS)


def clock_jumps(scene: Scene) -> None:
    """One of two workers' clock jumps an hour ahead in mid-job, and two hours back in the next ones."""
    clock = scene.folder / "clock"
    _set(clock, 0)
    variables = {**_faketime(), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    scene.worker(variables=variables)
    scene.worker()
    scene.fleet.until_ready()
    scene.enqueue(tasks.work, [(1.0,)] * JOBS)
    early_jobs(scene)
    scene.until_heard("start", 80)
    _set(clock, HOUR_SECONDS)
    scene.until_heard("keyed", 100)
    _set(clock, -HOUR_SECONDS)
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(lambda books: _seen(scene, books))


def _shifted(scene: Scene, seconds: int) -> None:
    scene.worker(variables={**_faketime(), "FAKETIME": f"{seconds:+d}s"})
    scene.worker()
    scene.fleet.until_ready()
    scene.enqueue(tasks.work, [(1.0,)] * JOBS)
    early_jobs(scene)
    scene.until_heard("start", 80)
    scene.fleet[1].kill_worker()
    scene.fault_ends()
    scene.until_done(PATIENCE_SECONDS)
    scene.afterwards(lambda books: _seen(scene, books))


def _faketime() -> dict[str, str]:
    return {"LD_PRELOAD": str(library()), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}


def _set(clock: Path, seconds: int) -> None:
    # Replaced as a whole: a reader never sees half of it.
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}s\n", encoding="ascii")
    new.replace(clock)


def _seen(scene: Scene, books: Books) -> str:
    """Tell from what the witness was shown that the clock was really wrong."""
    starts = [word for word in books.heard if word["say"] == "start"]
    # Wall clock minus monotonic clock is the same number everywhere but where the wall clock is wrong.
    offsets = [word["wall"] - word["at"] for word in starts]
    spread = max(offsets) - min(offsets)
    scene.extra["seconds_between_the_clocks"] = round(spread)
    return "" if spread > SEEN_SECONDS else "the clock was not shifted"
