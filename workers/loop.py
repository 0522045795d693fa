"""The event loop of a worker, on a thread of its own, and the watch over it."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from holdfast.jobs.clock import Clock
from holdfast.jobs.events import Events, LoopBlocked, ServiceFailed

T = TypeVar("T")
TICK_SECONDS: Final = 0.25
_LONGEST_ERROR: Final = 500
_START_OF_THREAD: Final = threading.Thread.start.__code__
BLOCKED_SECONDS: Final = 1.0
"""A loop that did not turn for so long is reported, with the job that ran on it."""


class LoopThread:
    """Runs the loop. `ticked_at` is the proof that it turns; only the loop itself writes it."""

    def __init__(
        self,
        *,
        clock: Clock,
        events: Events,
        task_of: Callable[[str], str],
        on_tick: Callable[[float], object] = bool,
    ) -> None:
        """Prepare; `task_of` names the task of a job that runs here, for the report of a blocked loop.

        `on_tick` hears, on the loop, when it turned.
        """
        self._clock = clock
        self._events = events
        self._task_of = task_of
        self._on_tick = on_tick
        self._stop = threading.Event()
        self._is_reported = False
        self.loop = asyncio.new_event_loop()
        self.ticked_at = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="holdfast-loop", daemon=True)
        self._watch = threading.Thread(target=self._look, name="holdfast-loop-watch", daemon=True)

    def start(self) -> None:
        """Start the loop and its watch."""
        self._thread.start()
        self._watch.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, work: Callable[[], object]) -> None:
        """Run a function on the loop soon; does nothing when the loop is closed."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(work)

    def stop(self, timeout_seconds: float) -> None:
        """Cancel what is left and end the loop."""
        self._stop.set()
        self.call(self.loop.stop)
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        elif not self.loop.is_closed():
            # It never ran.
            self.loop.close()

    @property
    def tick_age_seconds(self) -> float:
        """Tell how long ago the loop turned."""
        return self._clock.monotonic() - self.ticked_at

    @property
    def waits_for_a_thread(self) -> bool:
        """Tell whether the loop stands still in the start of a thread. Any thread may ask.

        Python waits without end for a thread that found no memory for its first steps.
        """
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 -- documented, for debuggers
        while frame is not None and frame.f_code is not _START_OF_THREAD:
            frame = frame.f_back
        return frame is not None

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._tell)
        self._tick()
        try:
            while not self._stop.is_set():
                self._turn()
        finally:
            self._cancel_rest()
            self.loop.close()

    def _turn(self) -> None:
        # A handler's background task may call sys.exit(), a handler may call loop.stop(): neither may
        # end the loop of a thousand others.
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            self._report(f"{type(error).__name__} left a background task")

    def _tell(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The stock handler would log message and traceback of whatever a background task raised.
        del loop
        error = context.get("exception")
        self._report(f"{context.get('message', '')} ({type(error).__name__})"[:_LONGEST_ERROR])

    def _report(self, what: str) -> None:
        self._events.emit(ServiceFailed(service="loop", error=what))

    def _tick(self) -> None:
        self.ticked_at = self._clock.monotonic()
        self._on_tick(self.ticked_at)
        self.loop.call_later(TICK_SECONDS, self._tick)

    def _cancel_rest(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=1.0))

    def _look(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            age = self.tick_age_seconds
            if age < BLOCKED_SECONDS:
                self._is_reported = False
            elif not self._is_reported:
                self._is_reported = True
                task = asyncio.current_task(self.loop)
                job_id = task.get_name() if task is not None else ""
                self._events.emit(LoopBlocked(seconds=age, job_id=job_id, task=self._task_of(job_id)))
