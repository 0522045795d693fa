"""How many calls may move to a fallback at once: its upstream is sized for less, and must not fall, too."""

import math
import threading
from typing import Final

START_SHARE: Final = 0.2
"""Of all calls, in the first ten seconds."""
STEP_SECONDS: Final = 10.0
"""After each of which another fifth may follow."""
QUIET_SECONDS: Final = 60.0
"""Without a call that wants it, the next one begins anew."""


class MovingShare:
    """Counts the calls of one process that want a fallback, and lets a growing share of them move.

    Shares need no word between processes: a fifth of each one's calls is a fifth
    of the fleet's.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self._began = -math.inf
        self._last = -math.inf
        self._wanted = 0
        self._moved = 0
        self._lock = threading.Lock()

    def may_move(self, now: float) -> bool:
        """Let one call move, or not; `now` is in monotonic seconds."""
        with self._lock:
            if now - self._last > QUIET_SECONDS:
                self._began, self._wanted, self._moved = now, 0, 0
            self._last = now
            self._wanted += 1
            steps = 1 + int((now - self._began) / STEP_SECONDS)
            if self._moved >= math.ceil(self._wanted * min(START_SHARE * steps, 1.0)):
                return False
            self._moved += 1
            return True
