"""The companion's watch over its worker: pass signals on, kill what is stuck, reap, say how it died."""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.events import Events, WorkerDied, WorkerStuck
from holdfast.monitoring.logs import configure_logging
from holdfast.workers.companion.introduction import Introduction
from holdfast.workers.companion.keeper import Keeper
from holdfast.workers.companion.link import DUMP_SIGNAL, LEFT
from holdfast.workers.companion.memory import OutOfMemoryCount
from holdfast.workers.companion.page import Page
from holdfast.workers.companion.scene import death_of
from holdfast.workers.companion.stillness import Stillness

LOOK_SECONDS: Final = 0.25
LEAVE_SECONDS: Final = 15.0
"""How long a worker that has left may take to end."""
DUMP_SECONDS: Final = 1.0
MEMORY_SECONDS: Final = 1.0
"""How often the kernel's count of kills for want of memory is noted."""
DEATH_SECONDS: Final = 1.0
"""How long after its line a process that dies may still be there."""
_KILOBYTES_IN_MB: Final = 1000.0


class Warden:
    """Watches one worker process until it has ended."""

    def __init__(
        self,
        worker: int,
        page: Page,
        line: socket.socket,
        *,
        keeper: Keeper,
        events: Events,
        clock: Clock,
        last_words: Callable[[], str] = str,
    ) -> None:
        """Watch the child with this pid; its introductions come by `line`, its ticks by `page`.

        `last_words` returns what its interpreter wrote when it crashed.
        """
        self._worker = worker
        self._last_words = last_words
        self._memory = OutOfMemoryCount()
        self._memory_seen_at = clock.monotonic()
        self._is_stuck = False
        self._page = page
        self._line = line
        self._keeper = keeper
        self._events = events
        self._clock = clock
        self._heard = b""
        self._introduction: Introduction | None = None
        self._silent_since: float | None = None
        self._left_at: float | None = None
        self._left_with = 0
        self._is_killed = False
        self._stillness = Stillness()
        self._requests: list[int] = []

    def ask_to_stop(self, number: int) -> None:
        """Pass a request to stop on, and count it. Safe in a signal handler that interrupts another."""
        self._requests.append(number)
        # Before the signal, which the worker compares with it; and again, if we were interrupted here.
        while self._page.requests != len(self._requests):
            self._page.requests = len(self._requests)
        self.pass_on(number)

    def pass_on(self, number: int) -> None:
        """Send a signal to the worker, if it is still there. Safe in a signal handler."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._worker, number)

    def run(self) -> int:
        """Watch until the worker has ended; returns its wait status."""
        wakeup = _wakeup_at_child_exit()
        readers = [self._line, wakeup]
        while True:
            ended, status, usage = os.wait4(self._worker, os.WNOHANG)
            if ended:
                return self._bury(status, usage.ru_maxrss / _KILOBYTES_IN_MB)
            ready, _, _ = select.select(readers, [], [], LOOK_SECONDS)
            if wakeup in ready:
                wakeup.recv(4096)
            if self._line in ready and not self._hear():
                readers.remove(self._line)
                self._silent_since = self._clock.monotonic()
            self._keeper.look()
            self._judge()

    def _hear(self) -> bool:
        data = self._line.recv(65536)
        self._heard += data
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            if line.startswith(LEFT):
                self._left_with = int(line.removeprefix(LEFT))
                self._left_at = self._clock.monotonic()
                self._keeper.rest()
            else:
                self._introduction = introduction = Introduction.of_line(line)
                terms = introduction.terms
                configure_logging(as_json=terms.log_as_json, level=terms.log_level)
                self._keeper.serve(introduction)
        return bool(data)

    def _judge(self) -> None:
        now = self._clock.monotonic()
        if now - self._memory_seen_at > MEMORY_SECONDS:
            self._memory.look()
            self._memory_seen_at = now
        if self._silent_since is not None and now - self._silent_since > DEATH_SECONDS:
            # It hung up and lives: it has become another program, of whose life nothing is known.
            self._keeper.rest()
            self._introduction = None
        if self._is_killed or self._introduction is None:
            return
        if self._left_at is not None:
            if now - self._left_at > LEAVE_SECONDS:
                self._kill()
            return
        stuck_seconds = self._stillness.look(self._page.ticked_at, now)
        if stuck_seconds > self._introduction.terms.stall_seconds:
            worker = self._introduction
            self._events.emit(
                WorkerStuck(worker_id=worker.worker_id, name=worker.terms.name, seconds=stuck_seconds)
            )
            self._keeper.rest()
            self.pass_on(DUMP_SIGNAL)
            time.sleep(DUMP_SECONDS)  # noqa: TID251 -- the kernel does not tell when the stacks are written
            self._is_stuck = True
            self._kill()

    def _kill(self) -> None:
        self._is_killed = True
        self.pass_on(signal.SIGKILL)

    def _bury(self, status: int, peak_mb: float) -> int:
        worker = self._introduction
        self._keeper.rest()
        trace = self._last_words()
        sys.stderr.write(trace)
        if self._left_at is not None:
            # Everything was written; that we had to help it out of the door is no failure.
            return _exited_with(self._left_with) if self._is_killed else status
        if worker is None:
            return status
        death = death_of(
            status,
            peak_mb,
            trace=trace,
            is_out_of_memory=self._memory.was_raised(),
            is_stuck=self._is_stuck,
            is_leaving=self._page.is_leaving,
        )
        suspects = self._keeper.close_row(worker, death)
        # What its handlers started works for jobs that are free now.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._worker, signal.SIGKILL)
        self._events.emit(
            WorkerDied(
                worker_id=worker.worker_id,
                name=worker.terms.name,
                how=death.how,
                peak_mb=peak_mb,
                is_out_of_memory=death.is_out_of_memory,
                suspects=suspects,
            )
        )
        return status


def _exited_with(code: int) -> int:
    """Return the wait status of a process that ended by itself with this exit code."""
    return code << 8


def _wakeup_at_child_exit() -> socket.socket:
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    return reader
