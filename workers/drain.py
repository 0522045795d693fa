"""How the running jobs of a worker end when it leaves.

    asked to leave ──> claim nothing ──> grace ──> cancel ──> clean up ──> cancel once more ──> end
                                           │
                              asked again ─┘ ends it

Everything that ends on the way is settled, or handed back with its attempt.
What does not end keeps its lease until the process is gone (B17).
"""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Final

from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.gate import Gate
from holdfast.workers.loop import LoopThread
from holdfast.workers.threads import NoThread, start

CLEAN_UP_SECONDS: Final = 5.0
"""How long a handler may take to end after it was cancelled."""
LATE_SECONDS: Final = 2.0
"""How long the main thread may need to come round when all has ended."""
LAST_CALL_SECONDS: Final = 1.0
"""The same for one that has not ended by then, and was cancelled a second time."""


class Drain:
    """Ends what runs. `begin` and `hurry` are safe in a signal handler; each may be called again."""

    def __init__(
        self,
        *,
        gate: Gate,
        loop: LoopThread,
        give_up: Callable[[RunningAttempt], Awaitable[None]],
        on_begin: Callable[[int], object],
        on_end: Callable[[], object],
        on_late: Callable[[int], object],
        grace_seconds: float,
    ) -> None:
        """Drain this gate, on this loop.

        `on_begin` hears how many jobs run, `on_end` that no more can be done;
        `give_up` settles what outlived its hard limit, before its process ends.
        `on_late` is called, on a thread of its own, when nobody has come to `wait`
        long after the end: Celery's main thread waits for a broker that is silent.
        """
        self._gate = gate
        self._loop = loop
        self._give_up = give_up
        self._on_begin = on_begin
        self._on_end = on_end
        self._on_late = on_late
        self._grace_seconds = grace_seconds
        self._calls = itertools.count()
        self._drained: Future[int] | None = None
        self._must_hurry = asyncio.Event()
        self.is_begun = False
        self.is_hurried = False
        self.has_remnant = threading.Event()
        """Something still runs, and keeps its lease until this process is gone."""

    def begin(self, *, is_running: bool) -> None:
        """Claim nothing more; if the loop `is_running`, the grace begins, too."""
        self.is_begun = True
        self._gate.is_closed = True
        # A signal may come in the middle of a call: one of the two counts first.
        if is_running and next(self._calls) == 0:
            self._drained = self._loop.submit(self._run())

    def hurry(self) -> None:
        """Skip the rest of the grace."""
        self.is_hurried = True
        self._loop.call(self._must_hurry.set)

    def wait(self) -> int:
        """Wait for the end; return how many jobs were cut off and go to others."""
        self.begin(is_running=True)
        if self._drained is None:
            return 0
        try:
            return self._drained.result(self._grace_seconds + 2 * CLEAN_UP_SECONDS + LAST_CALL_SECONDS)
        except TimeoutError:
            # A handler holds the loop: it keeps its lease, and the process's death frees it.
            self.has_remnant.set()
            return 0

    async def _run(self) -> int:
        self._gate.close()
        self._on_begin(len(self._gate.running))
        await self._grace()
        left = [attempt for attempt in self._gate.running.values() if not attempt.is_abandoned]
        for attempt in left:
            if attempt.interrupted is None:
                attempt.interrupt(Interrupt.DRAIN)
        await self._gate.settle_down(CLEAN_UP_SECONDS)
        if any(self._still_runs(left)):
            for attempt in self._still_runs(left):
                attempt.interrupt(Interrupt.DRAIN)
            await self._gate.settle_down(LAST_CALL_SECONDS)
        self._on_end()
        still = self._still_runs(left)
        if still:
            self.has_remnant.set()
        for attempt in tuple(self._gate.running.values()):
            if attempt.is_abandoned and not attempt.is_settling:
                await self._give_up(attempt)
        handed_back = len(left) - len(still)
        asyncio.get_running_loop().call_later(LATE_SECONDS, self._be_late, handed_back)
        return handed_back

    def _be_late(self, handed_back: int) -> None:
        late = threading.Thread(target=partial(self._on_late, handed_back), name="holdfast-late", daemon=True)
        try:
            start(late)
        except NoThread:
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._be_late, handed_back)

    async def _grace(self) -> None:
        ends = [
            asyncio.ensure_future(self._gate.settle_down(None)),
            asyncio.ensure_future(self._must_hurry.wait()),
        ]
        await asyncio.wait(ends, timeout=self._grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    def _still_runs(self, attempts: list[RunningAttempt]) -> list[RunningAttempt]:
        return [attempt for attempt in attempts if attempt.lease.job_id in self._gate.running]
