"""A size that finds itself: a little more while all is well, much less when the upstream pushes back.

AIMD, as TCP does it (Chiu and Jain, 1989): one more for each round of
successes, a third less for a pushback or a timeout. Not by response times:
those of a model say more about the answer's length than about the load.
"""

import threading
from dataclasses import dataclass
from typing import Final

_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class AdaptivePolicy:
    """Where a size begins, and how far it goes."""

    start: int = 10
    floor: int = 1
    ceiling: int = 100
    cut_percent: int = 70
    """What a pushback leaves of the size."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not 1 <= self.floor <= self.start <= self.ceiling:
            raise ValueError("AdaptivePolicy needs 1 <= floor <= start <= ceiling")
        if not 1 <= self.cut_percent < _PERCENT:
            raise ValueError("AdaptivePolicy: cut_percent must be from 1 to 99")


@dataclass(frozen=True, slots=True)
class Level:
    """A size, and what it has seen."""

    limit: int
    wins: int = 0
    """Successes since it last changed."""
    cuts: int = 0
    """Calls that began before the latest cut say nothing new about the size after it."""


def after(level: Level, policy: AdaptivePolicy, *, is_well: bool, cuts_at_start: int, in_use: int) -> Level:
    """Return the level after one call has ended.

    `in_use` counts the calls that ran with it, itself among them: of a size of
    which less than half is used nobody knows whether it is too small.
    """
    if not is_well:
        if cuts_at_start != level.cuts:
            return level
        cut = max(level.limit * policy.cut_percent // _PERCENT, policy.floor)
        return Level(cut, 0, level.cuts + 1)
    if in_use * 2 < level.limit:
        return level
    if level.wins + 1 < level.limit:
        return Level(level.limit, level.wins + 1, level.cuts)
    return Level(min(level.limit + 1, policy.ceiling), 0, level.cuts)


class AdaptiveLimit:
    """The size of a bulkhead. May be used from any thread."""

    def __init__(self, policy: AdaptivePolicy | None = None) -> None:
        """Begin where the policy says."""
        self.policy = policy or AdaptivePolicy()
        self._level = Level(self.policy.start)
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """How many calls at once are right."""
        return self._level.limit

    @property
    def cuts(self) -> int:
        """How often it was cut; a call remembers it at its start."""
        return self._level.cuts

    def note(self, *, is_well: bool, cuts_at_start: int, in_use: int) -> None:
        """Take note of how a call ended: see `after`."""
        with self._lock:
            self._level = after(
                self._level, self.policy, is_well=is_well, cuts_at_start=cuts_at_start, in_use=in_use
            )

    def forget(self) -> None:
        """Keep the size in a forked child, but not the lock."""
        self._lock = threading.Lock()
