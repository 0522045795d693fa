"""The watch over our own fitness: reads the process, and does what the verdict says."""

import contextlib
import errno
import os
import resource
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import psutil

from holdfast.jobs.clock import Clock
from holdfast.jobs.events import Events, WorkerUnfit
from holdfast.jobs.ids import WorkerId
from holdfast.workers.fitness import UNFIT, Fitness, FitnessLimits, Reading, Verdict
from holdfast.workers.gate import Gate
from holdfast.workers.loop import LoopThread

LOOK_SECONDS: Final = 1.0
UNBORN_LOOKS: Final = 3
"""A loop that stood still in the start of one thread at so many looks will not come back."""
_MOST_SPARED: Final = 64
_MB: Final = 1_000_000


class Patient(Protocol):
    """The worker that is watched."""

    worker_id: WorkerId
    gate: Gate
    loop: LoopThread

    @property
    def is_draining(self) -> bool:
        """Tell whether it leaves anyway."""
        ...

    def leave_by_itself(self, exit_code: int) -> None:
        """Hand back and leave."""
        ...

    def begin_drain(self) -> None:
        """Claim nothing more, and let nobody be accused of our end."""
        ...


class FitnessWatch:
    """Looks every second, on a thread of its own that was there before anything was short."""

    name = "fitness"
    pause_seconds = LOOK_SECONDS

    def __init__(
        self,
        worker: Patient,
        *,
        memory_limit_mb: float,
        unsure_limit_seconds: float,
        events: Events,
        clock: Clock,
        free_files: Callable[[], int] | None = None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """Watch this worker; `end` ends the process at once."""
        self._worker = worker
        self._events = events
        self._clock = clock
        self._free_files = free_files or count_free_files
        self._process = psutil.Process()
        self._fitness = Fitness(
            FitnessLimits(least_free_files(), memory_limit_mb, suspended_seconds=unsure_limit_seconds)
        )
        self._was = Verdict.FIT
        self._end = end
        self._unborn = 0

    def run_once(self) -> bool:
        """Look once."""
        if self._is_hopeless():
            self._give_up()
            return False
        if self._was is Verdict.LEAVE or self._worker.is_draining:
            return False
        verdict = self._fitness.judge(self._read(), self._clock.monotonic())
        if verdict is not self._was:
            self._was = verdict
            self._carry_out(verdict)
        return False

    def _is_hopeless(self) -> bool:
        loop = self._worker.loop
        stands = loop.tick_age_seconds >= LOOK_SECONDS and loop.waits_for_a_thread
        self._unborn = self._unborn + 1 if stands else 0
        return self._unborn >= UNBORN_LOOKS

    def _give_up(self) -> None:
        # Nothing can be handed back: a transaction of the loop may hold the only write lock there is.
        with contextlib.suppress(Exception):
            self._worker.begin_drain()
            self._events.emit(
                WorkerUnfit(self._worker.worker_id, why="no memory to start a thread", leaves=True)
            )
        self._end(UNFIT)

    def _carry_out(self, verdict: Verdict) -> None:
        self._worker.loop.call(
            partial(self._worker.gate.holds.set_short, is_short=verdict is not Verdict.FIT)
        )
        if verdict is not Verdict.FIT:
            self._events.emit(
                WorkerUnfit(self._worker.worker_id, why=self._fitness.why, leaves=verdict is Verdict.LEAVE)
            )
        if verdict is Verdict.LEAVE:
            self._worker.leave_by_itself(UNFIT)

    def _read(self) -> Reading:
        gate = self._worker.gate
        return Reading(
            free_files=self._free_files(),
            memory_mb=self._memory_mb(),
            starved=gate.holds.starved,
            is_suspended=gate.is_suspended,
        )

    def _memory_mb(self) -> float:
        try:
            return float(self._process.memory_info().rss) / _MB
        except (OSError, psutil.Error):
            # To ask takes a descriptor; that there is none is what the other number says.
            return 0.0


def least_free_files() -> int:
    """Return how many descriptors must be left: a twentieth of the limit, at least 8 and at most 64."""
    return max(8, min(_MOST_SPARED, _limit() // 20))


def count_free_files() -> int:
    """Count the descriptors that this process may still open; where nobody counts them, assume enough."""
    try:
        return max(0, _limit() - len(os.listdir("/dev/fd")))  # noqa: PTH208 -- it must open nothing else
    except OSError as error:
        return 0 if error.errno in {errno.EMFILE, errno.ENFILE} else _MOST_SPARED


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft
