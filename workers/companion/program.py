"""The companion's program: fork the worker, beat for it, watch it, reap it.

`python -P -m holdfast.workers.companion WORKER-ARGUMENTS...` runs Celery with
these arguments in a forked child. The process that was started stays: signals
go to it and are passed on, and it ends the way the worker ended, so whoever
supervises it sees one process.
"""

import ctypes
import gc
import os
import runpy
import signal
import socket
import sys
from typing import Final

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import Events
from holdfast.monitoring.logs import LogEvents
from holdfast.workers.companion.keeper import Keeper
from holdfast.workers.companion.last_words import LastWords
from holdfast.workers.companion.link import Link
from holdfast.workers.companion.page import Page
from holdfast.workers.companion.warden import Warden
from holdfast.workers.stop_requests import STOPPING, hear_with

PR_SET_PDEATHSIG: Final = 1
PASSED_ON: Final = (signal.SIGUSR1, signal.SIGUSR2)
_HELD_BACK: Final = {*STOPPING, *PASSED_ON, signal.SIGCHLD}


def main() -> None:
    """Run a worker and its companion; returns in the worker, never in the companion."""
    page, (ours, theirs) = Page(), socket.socketpair()
    last_words = LastWords()
    # Before the fork, so that the child needs to load nothing between it and its tie to the parent.
    libc = ctypes.CDLL(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    # What both have in common stays one copy in memory: the collector no longer writes to it.
    gc.collect()
    gc.freeze()
    companion = os.getpid()
    worker = os.fork()
    if worker:
        theirs.close()
        end_like(_watch(worker, page, ours, last_words))
    ours.close()
    _tie_to(companion, libc)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
    Link(page, theirs).adopt(last_words.descriptor)
    runpy.run_module("celery", run_name="__main__", alter_sys=True)


def end_like(status: int) -> None:
    """End this process the way the worker ended: by the same signal, or with the same exit code."""
    sys.stderr.flush()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


def _watch(worker: int, page: Page, line: socket.socket, last_words: LastWords) -> int:
    events, clock = Events(LogEvents()), SystemClock()
    keeper = Keeper(page, events, clock)
    warden = Warden(worker, page, line, keeper=keeper, events=events, clock=clock, last_words=last_words.read)
    for number in PASSED_ON:
        signal.signal(number, lambda received, _frame: warden.pass_on(received))
    hear_with(lambda received, _frame: warden.ask_to_stop(received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
    return warden.run()


def _tie_to(companion: int, libc: ctypes.CDLL) -> None:
    # A session of its own: Ctrl-C on a terminal reaches the companion, which passes it on, once.
    os.setsid()
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != companion:
        os._exit(1)
