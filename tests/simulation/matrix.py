"""Which transition met which crash, as a table: an empty cell is a story that was never told."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.jobs.state import TRANSITIONS, JobState, Move


class CrashPoint(StrEnum):
    """What can befall the one who commits a transition, and where."""

    BEFORE_COMMIT = "dies before commit"
    AFTER_COMMIT = "dies after commit"
    AT_AWAIT = "dies at an await"
    REQUEST_LOST = "request lost"
    REPLY_LOST = "reply lost"
    FROZEN = "frozen"
    FORGOTTEN = "failover forgets"


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from state to state."""

    move: Move
    source: JobState
    target: JobState

    def __str__(self) -> str:
        """As a row is called."""
        return f"{self.move} {self.source}-{self.target}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A crash point of a transition."""

    transition: Transition
    point: CrashPoint


EVERY_TRANSITION: Final = [
    Transition(move, source, target)
    for move, pairs in TRANSITIONS.items()
    for source, target in sorted(pairs)
]
EVERY_CELL: Final = [Cell(transition, point) for transition in EVERY_TRANSITION for point in CrashPoint]


class Matrix:
    """Counts."""

    def __init__(self, cells: Iterable[Cell] = ()) -> None:
        self._counts = Counter(cells)

    def add(self, cells: Iterable[Cell]) -> None:
        """Count what a run came to."""
        self._counts.update(cells)

    @property
    def counts(self) -> dict[Cell, int]:
        """How often each was met."""
        return dict(self._counts)

    def empty(self) -> list[Cell]:
        """What never happened."""
        return [cell for cell in EVERY_CELL if not self._counts[cell]]

    def __str__(self) -> str:
        """Draw the table."""
        lines = [" " * 34 + "".join(f"{point.value:>20}" for point in CrashPoint)]
        for transition in EVERY_TRANSITION:
            counts = [self._counts[Cell(transition, point)] for point in CrashPoint]
            lines.append(f"{transition!s:34}" + "".join(f"{count or '-':>20}" for count in counts))
        return "\n".join(lines)
