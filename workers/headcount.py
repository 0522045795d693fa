"""How many processes call upstreams: by that each divides a limit while the shared store is lost."""

from collections.abc import Callable


class Headcount:
    """Knows what the ledger last said of the live workers. All methods may be called from any thread.

    Each worker has an equal part, and divides it by itself and its isolated
    processes. It cannot know how busy those of others are, nor they how busy
    it is itself: it counts those that it has, they count all that it may have.
    So a worker and its processes together never take more than the worker's part.
    """

    def __init__(self, *, isolated: Callable[[], int], most_isolated: int) -> None:
        """Begin without knowing; `isolated` says how many processes this worker has beside itself now."""
        self._isolated = isolated
        self._most_isolated = most_isolated
        self._workers = 0

    def note(self, workers: int) -> None:
        """So many workers live; when the ledger is away, what was noted last stays."""
        self._workers = workers

    def of_worker(self) -> int:
        """Return by what this process divides a limit; 0: nobody has counted yet."""
        return self._workers * (1 + self._isolated())

    def of_isolated(self) -> int:
        """Return by what one of its isolated processes does."""
        return self._workers * (1 + self._most_isolated)
