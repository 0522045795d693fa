"""Is this process fit to work? Pure: readings go in, a verdict comes out.

A worker out of descriptors or memory is a black hole: it takes jobs and fails
them at once, faster than its healthy neighbours can work. So it takes none
while something is short, and leaves if that lasts.
"""

import errno
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.workers.threads import NoThread

UNFIT: Final = 75
"""Exit code of a worker that left because it was not fit: whoever supervises it starts a new one."""
PATIENCE_SECONDS: Final = 10.0
"""How long something may be short before the worker leaves."""
REST_SECONDS: Final = 5.0
"""How long it claims nothing after an attempt found something short."""
MEMORY_SECONDS: Final = 60.0
MOST_RESTS: Final = 3
"""It leaves when it had to rest so often within a minute, though nothing that we can measure is short."""
MOST_GIVEN_BACK: Final = 10
"""An attempt that found something short is given back so often; then it counts: the job may be to blame."""
MOST_BELIEVED: Final = 2
"""So often a job makes its worker rest, less than makes one leave: alone, it is the one to blame."""
_LONGEST_CHAIN: Final = 10
_WANTS: Final = frozenset({errno.EMFILE, errno.ENFILE})


class Verdict(StrEnum):
    """What to do."""

    FIT = "fit"
    HOLD = "hold"
    """Claim nothing for now."""
    LEAVE = "leave"
    """Hand back and end with the exit code UNFIT."""


@dataclass(frozen=True, slots=True)
class FitnessLimits:
    """When something is short."""

    least_free_files: int
    memory_mb: float
    """Resident memory of the process; 0 for no limit."""
    suspended_seconds: float
    """How long the ledger may be out of reach."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the process."""

    free_files: int
    memory_mb: float
    starved: int
    """Attempts that found something short, since the start."""
    is_suspended: bool
    """The ledger cannot be reached, or takes nothing."""


class Fitness:
    """Remembers between looks what makes a verdict."""

    def __init__(self, limits: FitnessLimits) -> None:
        """Start fit."""
        self._limits = limits
        self._short_since: float | None = None
        self._suspended_since: float | None = None
        self._starved = 0
        self._rests: deque[float] = deque()
        self.why = ""
        """What is short, for people; empty while all is well."""

    def judge(self, reading: Reading, now: float) -> Verdict:
        """Judge at this monotonic second."""
        if self._is_cut_off(reading, now):
            return Verdict.LEAVE
        self.why = self._short(reading)
        if not self.why:
            self._short_since = None
            return self._after_want(reading, now)
        self._short_since = now if self._short_since is None else self._short_since
        return Verdict.LEAVE if now - self._short_since >= PATIENCE_SECONDS else Verdict.HOLD

    def _is_cut_off(self, reading: Reading, now: float) -> bool:
        if not reading.is_suspended:
            self._suspended_since = None
            return False
        self._suspended_since = now if self._suspended_since is None else self._suspended_since
        if now - self._suspended_since < self._limits.suspended_seconds:
            return False
        self.why = f"the ledger was out of reach for {self._limits.suspended_seconds:g} s"
        return True

    def _short(self, reading: Reading) -> str:
        limits = self._limits
        if reading.free_files < limits.least_free_files:
            return f"{reading.free_files} file descriptors left"
        if limits.memory_mb and reading.memory_mb > limits.memory_mb:
            return f"{reading.memory_mb:.0f} MB of memory used, of {limits.memory_mb:g}"
        return ""

    def _after_want(self, reading: Reading, now: float) -> Verdict:
        if reading.starved > self._starved:
            self._starved = reading.starved
            self._rests.append(now)
        while self._rests and now - self._rests[0] > MEMORY_SECONDS:
            self._rests.popleft()
        if len(self._rests) >= MOST_RESTS:
            self.why = "handlers found no descriptor, thread or memory again and again"
            return Verdict.LEAVE
        if self._rests and now - self._rests[-1] < REST_SECONDS:
            self.why = "a handler found no descriptor, thread or memory"
            return Verdict.HOLD
        return Verdict.FIT


def is_want(error: BaseException) -> bool:
    """Tell whether an error says that the process, not the job, lacks something: descriptors or threads.

    Clients wrap the system's error in one of their own, so its causes count, too.
    """
    cause: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if cause is None:
            return False
        if isinstance(cause, NoThread) or (isinstance(cause, OSError) and cause.errno in _WANTS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
