"""An event loop without a selector: its time is the simulation's, and every turn of it is a step."""

import asyncio
import contextlib
import heapq
import itertools
from asyncio import _set_running_loop
from collections import deque

from holdfast.tests.simulation.fibers import Fiber, Kernel

_RESOLUTION_SECONDS = 1e-6


class NumberedTask(asyncio.Task):
    """A task whose place in a set does not depend on its address, so that a story can be told again."""

    _numbers = itertools.count()

    def __init__(self, *arguments, **options) -> None:
        self._number = next(self._numbers)
        super().__init__(*arguments, **options)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.AbstractEventLoop):
    """What asyncio's own parts and the worker ask of a loop, and nothing else."""

    def __init__(self) -> None:
        self._kernel = Kernel.running
        self._process = self._kernel.here().process
        self._fiber: Fiber | None = None
        self._ready: deque = deque()
        self._timers: list = []
        self._order = itertools.count()
        self._tasks: list[asyncio.Task] = []
        self._is_stopping = False
        self._is_closed = False
        self._tell = None
        self._kernel.leftovers.append(self.bury)

    def time(self):
        return self._kernel.now

    def get_debug(self):
        return False

    def is_running(self):
        return self._fiber is not None

    def is_closed(self):
        return self._is_closed

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        if not self._process.is_alive:
            coro.close()
            never = self.create_future()
            never.cancel()
            return never
        task = NumberedTask(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    def call_soon(self, callback, *arguments, context=None):
        handle = asyncio.Handle(callback, arguments, self, context)
        self._ready.append(handle)
        if self._fiber is not None:
            self._kernel.wake(self._fiber)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *arguments, context=None):
        # No clock is so fine that nothing passes between asking for a wait and its end.
        waits = max(delay, _RESOLUTION_SECONDS) if delay > 0 else 0.0
        return self.call_at(self.time() + waits, callback, *arguments, context=context)

    def call_at(self, when, callback, *arguments, context=None):
        handle = asyncio.TimerHandle(when, callback, arguments, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def _timer_handle_cancelled(self, handle):
        """Leave a cancelled timer where it is: its turn does nothing."""

    def run_forever(self):
        self._fiber = self._kernel.here()
        self._is_stopping = False
        try:
            while not self._is_stopping:
                self._turn()
        finally:
            self._fiber = None

    def run_until_complete(self, future):
        wanted = asyncio.ensure_future(future, loop=self)
        wanted.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return wanted.result()

    def stop(self):
        self._is_stopping = True

    def close(self):
        self._is_closed = True

    def set_exception_handler(self, handler):
        self._tell = handler

    def call_exception_handler(self, context):
        if self._tell is not None and self._process.is_alive:
            self._tell(self, context)

    def bury(self):
        """Close what a dead process was in the middle of, so that nothing is left to be collected."""
        self._is_closed = True
        for task in tuple(self._tasks):
            with contextlib.suppress(RuntimeError):
                # It waits for something once more; there is nothing left to wait in.
                task.get_coro().close()
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    def _turn(self):
        now = self._kernel.now
        while self._timers and self._timers[0][0] <= now:
            self._ready.append(heapq.heappop(self._timers)[2])
        if not self._ready:
            self._kernel.park(self._timers[0][0] if self._timers else None)
            return
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        _set_running_loop(self)
        try:
            handle._run()  # noqa: SLF001 -- what the standard loop does with a handle
        finally:
            _set_running_loop(None)
        self._kernel.park(self._kernel.now)
