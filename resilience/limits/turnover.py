"""How soon a place gets free, by how long calls have held theirs."""

from typing import Final

FIRST_GUESS_SECONDS: Final = 1.0
LEAST_SECONDS: Final = 0.05
MOST_SECONDS: Final = 30.0
_NEWS: Final = 0.2
"""What the latest call adds to the usual time."""


class Turnover:
    """Tells those who found no place when to come back, one after the other. Not for several threads."""

    def __init__(self) -> None:
        """Begin with a guess."""
        self._usual = FIRST_GUESS_SECONDS
        self._has_seen = False
        self._told = 0

    def note(self, held_seconds: float) -> None:
        """A place got free: somebody who was told to come back finds it."""
        held = max(held_seconds, 0.0)
        self._usual = self._usual + _NEWS * (held - self._usual) if self._has_seen else held
        self._has_seen = True
        self._told = max(self._told - 1, 0)

    def wait(self, size: int) -> float:
        """Return in how many seconds to come back, for one more who found all places taken."""
        between = self._usual / max(size, 1)
        self._told = self._told + 1 if between * self._told < MOST_SECONDS else 1
        return min(max(between * self._told, LEAST_SECONDS), MOST_SECONDS)
