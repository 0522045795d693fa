"""Ctrl-C and its like as something to wait for, so that nothing is torn in the middle.

A handler here only counts. The loops of `up`, `demo` and `digest` look at the
count between two steps; the first signal asks to stop, a second one to hurry.
"""

import contextlib
import select
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any, Final, Self

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HURRY: Final = 2


class StopSignals:
    """Hears SIGINT, SIGTERM and SIGHUP while it is open; main thread only."""

    def __init__(self) -> None:
        """Prepare; nothing is heard before the block begins."""
        self._heard = 0
        self._before: dict[signal.Signals, Any] = {}
        self._ear, self._mouth = socket.socketpair()
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._ear.settimeout(0)
        self._mouth.settimeout(0)
        self._wakeup_before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._ear.close()
        self._mouth.close()

    @property
    def heard(self) -> int:
        """How often somebody asked us to stop."""
        return self._heard

    def is_requested(self) -> bool:
        """Tell whether somebody wants us to stop."""
        return self._heard > 0

    def must_hurry(self) -> bool:
        """Tell whether somebody has asked twice."""
        return self._heard >= _HURRY

    def wait(self, seconds: float) -> bool:
        """Wait, at most so long, and tell whether to stop; returns at once when a signal comes."""
        ends_at = time.monotonic() + seconds
        while not self.is_requested() and (left := ends_at - time.monotonic()) > 0:
            ready, _, _ = select.select([self._ear], [], [], left)
            if ready:
                with contextlib.suppress(BlockingIOError):
                    self._ear.recv(4096)
        return self.is_requested()

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._heard += 1


def never(seconds: float) -> bool:
    """Wait like `StopSignals.wait`, where nobody listens for signals."""
    threading.Event().wait(seconds)
    return False
