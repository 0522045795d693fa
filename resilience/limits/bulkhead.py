"""How many calls of one process run at the same time, from threads and event loops together."""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoTurn
from typing import Final

from holdfast.jobs.clock import Clock, SystemClock
from holdfast.jobs.errors import BulkheadFull
from holdfast.resilience.limits.adaptive import AdaptiveLimit
from holdfast.resilience.limits.forks import forget_at_fork
from holdfast.resilience.limits.turnover import Turnover

_CLOCK: Final = SystemClock()
Turn = Future[None]


class Permit:
    """One place of a bulkhead."""

    def __init__(self, bulkhead: "Bulkhead", round_: int, began_at: float, cuts: int) -> None:
        """Hold it; `Bulkhead.acquire` makes these."""
        self._bulkhead = bulkhead
        self._round = round_
        self._began_at = began_at
        self._cuts = cuts
        self._lock = threading.Lock()
        self._is_free = False

    def release(self, *, is_well: bool | None = None) -> None:
        """Give the place back; a second time, or in a forked child, that changes nothing.

        `is_well` False: the upstream pushed back, or the call took too long; None: it says nothing.
        """
        with self._lock:
            was_free, self._is_free = self._is_free, True
        if not was_free:
            self._bulkhead.leave(self._round, self._began_at, self._cuts, is_well=is_well)


class Bulkhead:
    """So many places in this process. All methods may be called from any thread and any event loop."""

    def __init__(
        self, size: int | AdaptiveLimit, *, patience_seconds: float = 0.0, clock: Clock = _CLOCK
    ) -> None:
        """Let so many calls run at once; who finds no place waits for so long, first come, first served.

        Raises ValueError for a size below 1 and a negative patience.
        """
        if isinstance(size, int) and size < 1:
            raise ValueError("a bulkhead needs at least one place")
        if patience_seconds < 0:
            raise ValueError("nobody waits for less than no time")
        self._size = size
        self._patience = patience_seconds
        self._clock = clock
        self._in_use = 0
        self._round = 0
        self._waiting: deque[Turn] = deque()
        self._turnover = Turnover()
        self._lock = threading.Lock()
        forget_at_fork(self)

    @property
    def size(self) -> int:
        """How many may run at once, now."""
        return self._size if isinstance(self._size, int) else self._size.limit

    @property
    def in_use(self) -> int:
        """How many run."""
        return self._in_use

    def acquire(self) -> Permit:
        """Take a place, or raise BulkheadFull with the seconds after which one may be free.

        Blocks for the patience; on an event loop use `aacquire`.
        """
        turn = self._queue()
        try:
            turn.result(self._patience)
        except NoTurn:
            self._give_up(turn)
        except BaseException:
            self._drop(turn)
            raise
        return self._permit()

    async def aacquire(self) -> Permit:
        """Do the same on an event loop. Cancelled, it holds nothing."""
        turn = self._queue()
        if not turn.done():
            try:
                await asyncio.wait([asyncio.wrap_future(turn)], timeout=self._patience)
            except BaseException:
                self._drop(turn)
                raise
            if not turn.done():
                self._give_up(turn)
        return self._permit()

    def leave(self, round_: int, began_at: float, cuts: int, *, is_well: bool | None) -> None:
        """Free a place: see `Permit.release`."""
        with self._lock:
            if round_ != self._round:
                return
            if is_well is not None and isinstance(self._size, AdaptiveLimit):
                self._size.note(is_well=is_well, cuts_at_start=cuts, in_use=self._in_use)
            self._turnover.note(self._clock.monotonic() - began_at)
            self._in_use -= 1
            self._hand_over()

    def forget(self) -> None:
        """Begin anew in a forked child: the calls are the parent's."""
        self._lock = threading.Lock()
        self._in_use, self._round, self._waiting = 0, self._round + 1, deque()
        if isinstance(self._size, AdaptiveLimit):
            self._size.forget()

    def _queue(self) -> Turn:
        """Return a turn, which is done if there is a place."""
        turn = Turn()
        with self._lock:
            self._waiting.append(turn)
            self._hand_over()
            if turn.done() or self._patience > 0:
                return turn
        return self._give_up(turn)

    def _hand_over(self) -> None:
        while self._waiting and self._in_use < self.size:
            turn = self._waiting.popleft()
            if turn.set_running_or_notify_cancel():
                self._in_use += 1
                turn.set_result(None)

    def _give_up(self, turn: Turn) -> Turn:
        """Return the turn if it came at the last moment, else raise BulkheadFull."""
        with self._lock:
            if not turn.cancel():
                return turn
            self._forget_turn(turn)
            wait = self._turnover.wait(self.size)
        raise BulkheadFull(retry_after_seconds=wait)

    def _drop(self, turn: Turn) -> None:
        """Leave the queue, or free the place that was got already."""
        with self._lock:
            if turn.cancel():
                self._forget_turn(turn)
            else:
                self._in_use -= 1
                self._hand_over()

    def _forget_turn(self, turn: Turn) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _permit(self) -> Permit:
        cuts = 0 if isinstance(self._size, int) else self._size.cuts
        return Permit(self, self._round, self._clock.monotonic(), cuts)
