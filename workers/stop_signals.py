"""SIGTERM, SIGINT, SIGQUIT, SIGHUP: asked once it leaves, asked twice it hurries, the third time it is gone.

Celery's own handlers make five kinds of shutdown of them, of which some cancel
jobs for good, one starts the worker anew beside its supervisor, and none begins
before the main thread has come round.
"""

import os
import signal
from types import FrameType
from typing import Any, Final

from celery import signals
from celery.worker import state

from holdfast.workers.companion.link import link_of_this_process
from holdfast.workers.stop_requests import StopRequests, forget_in_forks, hear_with

HURRY, FORCE = 2, 3
FORCED: Final = 1
"""Exit code of a worker that was asked three times: its jobs are freed by its death."""


class StopSignals:
    """Hears them on the main thread; whoever else wants the worker to stop goes by `ask_to_stop`."""

    def __init__(self, worker: Any) -> None:
        """Hear them for this worker, once `install` was called."""
        self._worker = worker
        link = link_of_this_process()
        self._requests = StopRequests() if link is None else StopRequests(lambda: link.page.requests)

    def install(self) -> None:
        """Take the place of Celery's handlers. On the main thread."""
        hear_with(self._hear)
        forget_in_forks(self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        requests = self._requests.hear()
        if requests >= FORCE:
            os._exit(FORCED)
        runtime = self._worker.pool.runtime
        runtime.begin_drain()
        if requests >= HURRY:
            runtime.drain.hurry()
        ask_to_stop(runtime.exit_code)
        name = signal.Signals(number).name
        signals.worker_shutting_down.send(
            sender=self._worker.hostname, sig=name, how="Warm", exitcode=runtime.exit_code
        )


def ask_to_stop(exit_code: int) -> None:
    """Let Celery's main loop end when it comes round next, and the process with this exit code."""
    flags: Any = state  # whose stub knows no number
    flags.should_stop = exit_code
