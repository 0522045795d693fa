"""How long a worker's loop has stood still, as far as somebody saw it who was awake himself."""

from typing import Final

GAP_SECONDS: Final = 2.0
"""A watch that was away for so long begins anew: whoever froze us may have frozen the worker, too."""


class Stillness:
    """Watches a tick from outside.

    A suspended machine, a paused container or SIGSTOP to the whole group
    stops the worker and its watcher alike. The watcher may wake first; what
    it did not see it must not count, or it would kill a worker that is well.
    """

    def __init__(self) -> None:
        """Begin to watch with the first look."""
        self._tick: float | None = None
        self._since = 0.0
        self._looked_at = 0.0

    def look(self, tick: float, now: float) -> float:
        """Return for how many seconds the tick was seen to stand still, at monotonic `now`."""
        if tick != self._tick or now - self._looked_at > GAP_SECONDS:
            self._tick, self._since = tick, now
        self._looked_at = now
        return now - self._since
