"""A few threads for what may block on Redis, so that no event loop and no end of a call does.

A thread costs a call 280 us in all, of which the event loop is busy for 80; a
client of `redis.asyncio` costs it 150, for all of which the loop is busy, and
needs a client for each loop that comes and goes (measured with two limits, on
two cores, Redis on the same machine). A call of a model takes a second: the
loop's time is the dearer one. The threads are our own, not the loop's: those may
all be busy with functions of users.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from holdfast.resilience.limits.forks import forget_at_fork

T = TypeVar("T")

THREADS: Final = 4
MOST_WAITING: Final = 10_000


class Hands:
    """Runs functions soon, on threads that begin when they are first needed."""

    def __init__(self) -> None:
        """Begin without threads."""
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._lock = threading.Lock()

    def run(self, work: Callable[[], T]) -> Future[T] | None:
        """Run it soon; None: it will not run, as too much waits already or the process ends."""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                return None
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="holdfast-limits")
            try:
                future = self._pool.submit(work)
            except RuntimeError:
                # No thread is to be had, or the interpreter is on its way out.
                return None
            self._waiting += 1
        future.add_done_callback(self._note)
        return future

    def forget(self) -> None:
        """Begin anew in a forked child, where the threads are not."""
        self._lock = threading.Lock()
        self._pool, self._waiting = None, 0

    def _note(self, _: object) -> None:
        with self._lock:
            self._waiting -= 1


HANDS: Final = Hands()

forget_at_fork(HANDS)
