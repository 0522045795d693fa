"""Threads that work on for a job which is not ours any more (B17).

A thread cannot be ended: it is fenced out, and holds its place until it ends
by itself. One that does so for more than a second is told of. When they hold
half of a worker's threads it claims nothing more, and leaves as soon as it
has nothing else to do: the end of the process is the only end for them.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from holdfast.jobs.events import Events, HandlerAbandoned
from holdfast.jobs.ids import LeaseToken
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.gate import Gate
from holdfast.workers.placement import Threaded

LOOK_SECONDS: Final = 1.0


class AbandonedThreads:
    """Counts them, on the event loop."""

    def __init__(
        self, gate: Gate, threaded: Threaded, *, events: Events, leave: Callable[[], object]
    ) -> None:
        """Watch the jobs of this gate; `leave` is called, once, when the process had better go."""
        self._gate = gate
        self._threaded = threaded
        self._events = events
        self._leave = leave
        self._seen: set[LeaseToken] = set()
        self._told: set[LeaseToken] = set()
        self._has_left = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Count once: abandoned is what was lost at the look before this one, too."""
        running = self._gate.running.values()
        lost = {attempt.lease.token: attempt for attempt in running if self._is_lost(attempt)}
        abandoned = [attempt for token, attempt in lost.items() if token in self._seen]
        self._seen = set(lost)
        self._told &= self._seen
        for attempt in abandoned:
            if attempt.lease.token not in self._told:
                self._told.add(attempt.lease.token)
                job = attempt.claim.job
                self._events.emit(
                    HandlerAbandoned(
                        job.id, job.task, job.queue, attempt=attempt.lease.attempt, why="lease_lost"
                    )
                )
        self._gate.holds.set_spent(is_spent=2 * len(abandoned) >= self._threaded.threads and bool(abandoned))
        others = len(running) - len(lost) - self._gate.holds.remnants
        if self._gate.holds.is_spent and others <= 0 and not self._has_left:
            self._has_left = True
            self._leave()

    def _is_lost(self, attempt: RunningAttempt) -> bool:
        is_on_thread = attempt.claim.job.task in self._threaded.tasks
        # What outlived its hard limit is a remnant, and counted there.
        return is_on_thread and attempt.interrupted is Interrupt.LEASE_LOST and not attempt.is_abandoned
