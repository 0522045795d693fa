"""Where a worker is to die."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

CrashPoint = Literal[
    "before_claim",
    "before_handler",
    "at_await",
    "before_progress",
    "after_progress",
    "before_plan",
    "after_plan",
    "before_commit",
    "after_commit",
    "before_settle",
    "after_settle",
]
CRASH_POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)
"""Every point, in the order of an attempt; `docs/testing.md` says what each means."""

Point = tuple[CrashPoint, int]
CrashAt = CrashPoint | int | Point
"""A point (its first passing), a point and which passing of it, or which await of the handler."""


class Crashed(BaseException):
    """The worker died here. No `except Exception` of a handler catches it."""


@dataclass
class CrashPlan:
    """The deaths of one run, one after the other; each worker after a death is a new one."""

    left: list[Point]
    passed: list[Point] = field(default_factory=list[Point])
    """Every point that was passed, in order."""
    struck: list[Point] = field(default_factory=list[Point])
    """Where workers died."""
    _counts: Counter[CrashPoint] = field(default_factory=Counter[CrashPoint])

    @classmethod
    def of(cls, crash_at: CrashAt | Sequence[CrashAt] | None) -> "CrashPlan":
        """Read what the test asks for. Raises ValueError for a point that does not exist."""
        if crash_at is None:
            return cls([])
        many = crash_at if isinstance(crash_at, Sequence) and not _is_one(crash_at) else [crash_at]
        return cls([_point(one) for one in many])

    def strikes(self, point: CrashPoint) -> bool:
        """Count a passing; True if the worker dies of it. Passings are counted from the last death on."""
        self._counts[point] += 1
        here = (point, self._counts[point])
        self.passed.append(here)
        if not self.left or self.left[0] != here:
            return False
        self.struck.append(self.left.pop(0))
        self._counts.clear()
        return True

    def check(self) -> None:
        """Fail a test whose worker never came to where it was to die: it would prove nothing."""
        if self.left:
            met = ", ".join(dict.fromkeys(name for name, _ in self.passed)) or "no point at all"
            raise AssertionError(f"the worker never came to {self.left[0]}; it passed {met}")


def _is_one(crash_at: Sequence[object]) -> bool:
    pair = isinstance(crash_at, tuple) and [type(part) for part in crash_at] == [str, int]
    return isinstance(crash_at, str) or pair


def _point(asked: object) -> Point:
    point = ("at_await", asked) if isinstance(asked, int) else asked
    name, number = point if isinstance(point, tuple) else (point, 1)
    if name not in CRASH_POINTS or not isinstance(number, int) or number < 1:
        raise ValueError(f"no worker can die at {asked!r}; the points are {', '.join(CRASH_POINTS)}")
    return name, number
