"""The shared page: numbers that one process writes and the other one reads, without a lock.

Each number is eight bytes at a multiple of eight, written by one side only,
so a reader sees the old value or the new one. Everything here is a level: a
reader that looks late misses nothing that still matters. Times are seconds of
CLOCK_MONOTONIC, which both processes read alike.

Behind the numbers are seats, one for each job that runs: whose seat was on the
loop when the worker died is the first to be asked about it (B11).
"""

import mmap
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.ids import LeaseToken

_TICK, _BEAT, _UNSURE, _DEAD, _LEAVING, _LOOP_THREAD, _ON_LOOP, _REQUESTS = range(8)
_NUMBERS: Final = 8
_ERROR: Final = slice(64, 128)
_FIRST_SEAT: Final = 4096
_SEAT_BYTES: Final = 64
_TOKEN: Final = slice(8, _SEAT_BYTES)
MOST_SEATS: Final = 4000
NO_SEAT: Final = 0


@dataclass(frozen=True, slots=True)
class Seat:
    """A job that ran when the page was read."""

    number: int
    token: LeaseToken
    """Of the attempt's lease."""
    thread: int
    """The identity of the thread that ran its `def` handler; 0: it ran on the loop."""


class Page:
    """Memory that a child made by fork shares with its parent."""

    def __init__(self) -> None:
        """Make a page of zeros, shared with children that are forked later."""
        self._memory = mmap.mmap(-1, _FIRST_SEAT + (MOST_SEATS + 1) * _SEAT_BYTES)
        self._numbers = memoryview(self._memory)[: 8 * _NUMBERS].cast("d")
        self._threads = memoryview(self._memory)[_FIRST_SEAT:].cast("d")

    # Written by the worker.

    @property
    def ticked_at(self) -> float:
        """When the worker's event loop last turned; 0 before its first turn."""
        return self._numbers[_TICK]

    @ticked_at.setter
    def ticked_at(self, value: float) -> None:
        self._numbers[_TICK] = value

    @property
    def is_leaving(self) -> bool:
        """Tell whether the worker was asked to end, or ended in good order; else an exit is a handler's."""
        return bool(self._numbers[_LEAVING])

    def note_leaving(self) -> None:
        """Say that the worker ends because it was asked to, or in good order."""
        self._numbers[_LEAVING] = 1.0

    @property
    def loop_thread(self) -> int:
        """The identity of the thread that the loop runs on."""
        return int(self._numbers[_LOOP_THREAD])

    @loop_thread.setter
    def loop_thread(self, value: int) -> None:
        self._numbers[_LOOP_THREAD] = value

    @property
    def on_loop(self) -> int:
        """The seat of the job whose code is on the loop now; `NO_SEAT` between jobs."""
        return int(self._numbers[_ON_LOOP])

    @on_loop.setter
    def on_loop(self, value: int) -> None:
        # Written at each step of each handler: as little as can be.
        self._numbers[_ON_LOOP] = value

    def take_seat(self, number: int, token: LeaseToken, thread: int) -> None:
        """Write down who runs."""
        start = _FIRST_SEAT + number * _SEAT_BYTES
        self._threads[number * _SEAT_BYTES // 8] = thread
        size = _TOKEN.stop - _TOKEN.start
        text = token.encode("ascii", "replace")[:size].ljust(size, b"\0")
        self._memory[start + _TOKEN.start : start + _TOKEN.stop] = text

    def leave_seat(self, number: int) -> None:
        """Take the name off a seat."""
        self._memory[_FIRST_SEAT + number * _SEAT_BYTES + _TOKEN.start] = 0

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

    @property
    def requests(self) -> int:
        """How often the companion was asked to stop, and passed it on."""
        return int(self._numbers[_REQUESTS])

    @requests.setter
    def requests(self, value: int) -> None:
        self._numbers[_REQUESTS] = value

    # Read by the companion, when the worker is dead.

    def seats(self) -> list[Seat]:
        """Return the seats that are taken; a token that was being written names no lease: no harm."""
        found: list[Seat] = []
        for number in range(1, MOST_SEATS + 1):
            start = _FIRST_SEAT + number * _SEAT_BYTES
            if self._memory[start + _TOKEN.start]:
                token = self._memory[start + _TOKEN.start : start + _TOKEN.stop].rstrip(b"\0")
                thread = int(self._threads[number * _SEAT_BYTES // 8])
                found.append(Seat(number, LeaseToken(token.decode("ascii", "replace")), thread))
        return found
