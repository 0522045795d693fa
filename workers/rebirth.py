"""A worker that was declared dead comes back as somebody new (B3).

While it tries its gate is suspended: where it cannot come back for as long as
the ledger may be out of reach, the watch over its fitness has it leave.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from holdfast.jobs.errors import LedgerError, WorkerNameTaken
from holdfast.jobs.events import Events, ServiceFailed
from holdfast.workers.fitness import UNFIT
from holdfast.workers.registration import AskedToLeave
from holdfast.workers.threads import NoThread

NAME_TAKEN: Final = 1
"""Exit code of a worker that found another one alive under its name."""
_LONGEST_ERROR: Final = 500


class Rebirth:
    """Takes the steps back into life, each as often as the ledger or the system refuses it."""

    def __init__(
        self,
        steps: Sequence[Callable[[], Awaitable[None]]],
        *,
        leave: Callable[[int], object],
        is_leaving: Callable[[], bool],
        events: Events,
        pause_seconds: float,
    ) -> None:
        """Prepare; `is_leaving` is asked before each step, and `leave` called where there is no way back.

        A step may raise LedgerError or NoThread: it is taken again after `pause_seconds`.
        """
        self._steps = tuple(steps)
        self._leave = leave
        self._is_leaving = is_leaving
        self._events = events
        self._pause_seconds = pause_seconds
        self._task: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the steps, as a task of this loop."""
        self._task = loop.create_task(self.run(), name="rebirth")
        self._task.add_done_callback(self._judge)

    async def run(self) -> None:
        """Take the steps, one after the other. Emits ServiceFailed where there was no thread, or no way."""
        for step in self._steps:
            if not await self._take(step):
                return

    async def _take(self, step: Callable[[], Awaitable[None]]) -> bool:
        # Asked first: the heartbeat that a stop waits for is the old one; a new one would outlive it.
        while not self._is_leaving():
            try:
                await step()
            except WorkerNameTaken as error:
                self._tell(error)
                self._leave(NAME_TAKEN)
                return False
            except AskedToLeave:
                return False
            except NoThread as error:
                self._tell(error)
            except LedgerError:
                # The heartbeat, and the gate, tell of it.
                pass
            else:
                return True
            await asyncio.sleep(self._pause_seconds)
        return False

    def _judge(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Nobody else would bring it back: better a new process than one that does nothing.
            self._tell(error)
            self._leave(UNFIT)

    def _tell(self, error: BaseException) -> None:
        self._events.emit(ServiceFailed(service="registration", error=str(error)[:_LONGEST_ERROR]))
