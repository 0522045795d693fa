"""What is to go wrong in a run, drawn from its seed before it begins."""

from dataclasses import dataclass
from random import Random
from typing import Final

from holdfast.jobs.state import Move
from holdfast.tests.simulation.matrix import EVERY_CELL, Cell, CrashPoint, Transition

CALM_AT_SECONDS: Final = 15.0
"""No fault begins later: from here on everything must come to its end."""
_NOISE: Final = 20
"""One run in so many is never quiet: old rings come all the time."""
_FAILOVERS: Final = 0.03
_STRIKES: Final = 0.004
_OFTEN: Final = (Move.STAGE, Move.CLAIM, Move.COMPLETE)
_NEEDS: Final = {Move.HAND_BACK: ("leave",) * 4, Move.RESCUE: ("crash",) * 2}
_OTHERS: Final = tuple(point for point in CrashPoint if point is not CrashPoint.FORGOTTEN)

TROUBLES: Final = ("freeze", "stick", "line", "dark", "jump", "leave", "leave")
"""A process, its loop, or its way to the ledger stops for one to three leases; a process dies while it is
cut off from the ledger; the database's clock goes ahead by five; a worker is asked to leave.
"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault at a time, to a worker of this number."""

    at: float
    kind: str
    whom: int


class Plan:
    """The faults of one seed: a crash and a loss of the broker always, a cell of the matrix, and more."""

    def __init__(self, seed: int, random: Random) -> None:
        self._random = random
        self.aim: Cell | None = EVERY_CELL[seed % len(EVERY_CELL)]
        self._passes = random.choice((0, 0, 0, 1, 2)) if self.aim.transition.move in _OFTEN else 0
        self.is_noisy = seed % _NOISE == 0
        self.has_failover = self.aim.point is CrashPoint.FORGOTTEN or random.random() < 0.15
        self.unsure_limit_seconds = random.choice((12.0, 600.0))
        self.troubles = sorted(
            [
                self._trouble("crash"),
                self._trouble("lose the broker"),
                *(self._trouble(kind) for kind in _NEEDS.get(self.aim.transition.move, ())),
                *(self._trouble(random.choice(TROUBLES)) for _ in range(random.randrange(4))),
            ],
            key=lambda trouble: trouble.at,
        )

    def strike(self, made: list[Transition], now: float) -> CrashPoint | None:
        """Say what befalls the one who is about to commit these transitions."""
        if self.aim is not None and self.aim.transition in made:
            self._passes -= 1
            if self._passes < 0:
                point, self.aim = self.aim.point, None
                return point
        if now >= CALM_AT_SECONDS:
            return None
        chance = self._random.random()
        if made and self.has_failover and chance < _FAILOVERS:
            return CrashPoint.FORGOTTEN
        if made and chance < _STRIKES:
            return self._random.choice(_OTHERS)
        return None

    def latency(self, now: float) -> float:
        """Draw how long the way to or from the ledger takes."""
        if now >= CALM_AT_SECONDS:
            return 0.0
        chance = self._random.random()
        if chance < 0.9:
            return 0.0
        return self._random.random() * (0.2 if chance < 0.99 else 2.0)

    def _trouble(self, kind: str) -> Trouble:
        return Trouble(1.0 + self._random.random() * 9.0, kind, self._random.randrange(3))
