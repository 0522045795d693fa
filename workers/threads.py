"""Threads for `def` handlers, made when needed, and never in the way of leaving the process.

The standard pool joins its threads when the interpreter ends, so one handler
that does not return would keep a drained worker alive for ever. These are
daemons: what they run is fenced out by its lease.
"""

import errno
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class NoThread(BlockingIOError):
    """The system gives no more threads: the call has not begun."""


def start(thread: threading.Thread) -> None:
    """Start a thread. Raises NoThread; the same thread may be started later."""
    try:
        thread.start()
    except RuntimeError as error:
        if thread.ident is not None:
            # Started twice: a mistake of ours.
            raise
        raise NoThread(errno.EAGAIN, str(error)) from error


class DaemonThreads:
    """At most `most` threads; more calls wait in line."""

    def __init__(self, most: int, *, name: str) -> None:
        """Prepare; threads start with the calls."""
        self._most = max(most, 1)
        self._name = name
        self._line: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    @property
    def most(self) -> int:
        """How many calls can run at once."""
        return self._most

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run this on a thread. The future can be cancelled until the call begins."""
        future: Future[T] = Future()
        with self._changed:
            if self._is_closed:
                future.cancel()
                return future
            self._line.append((future, call))
            if self._idle >= len(self._line):
                self._changed.notify()
            elif self._threads < self._most:
                self._start_one()
        return future

    def _start_one(self) -> None:
        self._threads += 1
        thread = threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True)
        try:
            start(thread)
        except NoThread as error:
            # The system gives no more threads: this call fails, and the pool stays what it was.
            self._threads -= 1
            future, _ = self._line.pop()
            future.set_exception(NoThread(errno.EAGAIN, f"no thread for this handler: {error.strerror}"))

    def close(self) -> None:
        """Start nothing more; what runs goes on, what waits is cancelled."""
        with self._changed:
            self._is_closed = True
            for future, _ in self._line:
                future.cancel()
            self._line.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._line and not self._is_closed:
                    self._changed.wait()
                self._idle -= 1
                if not self._line:
                    return
                future, call = self._line.popleft()
            _carry_out(future, call)


def _carry_out(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 -- it belongs to whoever waits for the future
        future.set_exception(error)
    else:
        future.set_result(result)
