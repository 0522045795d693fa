"""Renews what a process holds of the fleet's permits: one thread for all bulkheads."""

import threading
from typing import Any, Final, Protocol
from weakref import WeakSet

from holdfast.resilience.limits.forks import forget_at_fork


class Renewable(Protocol):
    """Holds permits that have to be renewed."""

    def renew(self) -> float | None:
        """Renew what is due; return in how many seconds to come again; None: nothing is held."""
        ...


class Renewer:
    """Comes when something is due. The thread begins with the first permit of a process."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._held: WeakSet[Any] = WeakSet()
        self._thread: threading.Thread | None = None
        self._news = threading.Event()
        self._lock = threading.Lock()

    def watch(self, one: Renewable) -> None:
        """Renew what it holds, from now on until it holds nothing."""
        with self._lock:
            is_known = one in self._held
            self._held.add(one)
            if self._thread is None or not self._thread.is_alive():
                self._begin()
        if not is_known:
            self._news.set()

    def forget(self) -> None:
        """Begin anew in a forked child: permits are the parent's."""
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._held, self._thread = WeakSet(), None

    def _begin(self) -> None:
        thread = threading.Thread(target=self._run, name="holdfast-permits", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had: the next permit tries again; until then leases end by themselves.
            return
        self._thread = thread

    def _run(self) -> None:
        wait: float | None = None
        while True:
            self._news.wait(wait)
            self._news.clear()
            with self._lock:
                held = list(self._held)
            waits = [due for one in held if (due := self._renew(one)) is not None]
            wait = min(waits, default=None)

    def _renew(self, one: Renewable) -> float | None:
        due = one.renew()
        if due is None:
            with self._lock:
                self._held.discard(one)
            # A permit that was taken in between is seen here.
            due = one.renew()
            if due is not None:
                self.watch(one)
        return due


RENEWER: Final = Renewer()

forget_at_fork(RENEWER)
