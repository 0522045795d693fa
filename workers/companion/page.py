"""The shared page: numbers that one process writes and the other one reads, without a lock.

Each number is eight bytes at a multiple of eight, written by one side only,
so a reader sees the old value or the new one. Everything here is a level: a
reader that looks late misses nothing that still matters. Times are seconds of
CLOCK_MONOTONIC, which both processes read alike.
"""

import mmap
from typing import Final

_TICK, _BEAT, _UNSURE, _DEAD = range(4)
_NUMBERS: Final = 4
_ERROR: Final = slice(64, 128)


class Page:
    """Memory that a child made by fork shares with its parent."""

    def __init__(self) -> None:
        """Make a page of zeros, shared with children that are forked later."""
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._numbers = memoryview(self._memory)[: 8 * _NUMBERS].cast("d")

    # Written by the worker.

    @property
    def ticked_at(self) -> float:
        """When the worker's event loop last turned; 0 before its first turn."""
        return self._numbers[_TICK]

    @ticked_at.setter
    def ticked_at(self, value: float) -> None:
        self._numbers[_TICK] = value

    # Written by the companion.

    @property
    def beat_at(self) -> float:
        """When the ledger last took a beat."""
        return self._numbers[_BEAT]

    @beat_at.setter
    def beat_at(self, value: float) -> None:
        self._numbers[_BEAT] = value

    @property
    def unsure_since(self) -> float:
        """Since when the ledger takes no beats; 0 while it does."""
        return self._numbers[_UNSURE]

    @unsure_since.setter
    def unsure_since(self, value: float) -> None:
        self._numbers[_UNSURE] = value

    @property
    def unsure_error(self) -> str:
        """The code of what the last missed beat met. For people only: a torn text does no harm."""
        return self._memory[_ERROR].rstrip(b"\0").decode("ascii", "replace")

    @unsure_error.setter
    def unsure_error(self, value: str) -> None:
        size = _ERROR.stop - _ERROR.start
        self._memory[_ERROR] = value.encode("ascii", "replace")[:size].ljust(size, b"\0")

    @property
    def dead(self) -> int:
        """The number of the last introduction whose worker was declared dead by others."""
        return int(self._numbers[_DEAD])

    @dead.setter
    def dead(self, value: int) -> None:
        self._numbers[_DEAD] = value
