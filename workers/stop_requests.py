"""How often was a worker asked to stop? A request that comes by two ways is one request.

systemd, by default, signals every process of a unit, so the worker hears from
it and, through its companion, hears the same once more. No time tells the two
from two requests: a person presses Ctrl-C twice within a tenth of a second.
So both ways are counted, and the longer count is what was asked.
"""

import itertools
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
"""Signals that ask to stop; they count alike."""


class StopRequests:
    """Counts what arrives. Safe in a signal handler that interrupts another."""

    def __init__(self, passed_on: Callable[[], int] = int) -> None:
        """Count; `passed_on` tells how many requests the companion has passed on so far, 0 without one."""
        self._passed_on = passed_on
        self._heard = itertools.count(1)

    def hear(self) -> int:
        """Note one signal; return how many requests there were."""
        # In this order, and counted by the companion before it passes on: what it passed on is never
        # fewer than what we heard of it. The kernel may make one signal of two, so it may be more.
        heard = next(self._heard)
        passed_on = self._passed_on()
        return max(passed_on, heard - passed_on)


def hear_with(handler: Callable[..., Any]) -> None:
    """Let this handler hear the signals that ask to stop. On the main thread."""
    for number in STOPPING:
        signal.signal(number, handler)


def forget_in_forks(handler: Callable[..., Any]) -> None:
    """Let processes that this one forks from now on end by such a signal, as processes do.

    A handler's `multiprocessing.Pool` ends its processes by SIGTERM, and waits until they are gone.
    """
    masks = threading.local()

    def hold_back() -> None:
        # A signal that came to the fork before it had forgotten the handler would be lost.
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)

    def let_through() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def begin_anew() -> None:
        _forget(handler)
        let_through()

    os.register_at_fork(before=hold_back, after_in_parent=let_through, after_in_child=begin_anew)


def _forget(handler: Callable[..., Any]) -> None:
    for number in STOPPING:
        if signal.getsignal(number) == handler:
            signal.signal(number, signal.SIG_DFL)
