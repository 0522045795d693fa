"""SIGTERM, SIGINT, SIGQUIT: asked once a worker leaves, asked twice it hurries, the third time it is gone.

Celery's own handlers make five kinds of shutdown of them, of which some cancel
jobs for good, and none begins before the main thread has come round.
"""

import os
import signal
from types import FrameType
from typing import Any, Final

from celery import signals
from celery.worker import state

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
HURRY, FORCE = 2, 3
FORCED: Final = 1
"""Exit code of a worker that was asked three times: its jobs are freed by its death."""


class StopSignals:
    """Hears them on the main thread; whoever else wants the worker to stop goes by `ask_to_stop`."""

    def __init__(self, worker: Any) -> None:
        """Hear them for this worker, once `install` was called."""
        self._worker = worker
        self._heard = 0

    def install(self) -> None:
        """Take the place of Celery's handlers. On the main thread."""
        for number in STOPPING:
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._heard += 1
        if self._heard >= FORCE:
            os._exit(FORCED)
        runtime = self._worker.pool.runtime
        runtime.begin_drain()
        if self._heard == HURRY:
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
