"""The scheduler: ticks that are due become jobs; and what the code declares becomes schedules."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.events import Events
from holdfast.jobs.job import Ring
from holdfast.jobs.schedule_events import (
    ScheduleNotChanged,
    SchedulesDeclared,
    ScheduleStopped,
    TicksFired,
    TicksLeftOut,
)
from holdfast.jobs.schedules.definition import Definition
from holdfast.ledger import Ledger
from holdfast.ledger.schedule_records import Fired

LEAST_PAUSE_SECONDS: Final = 0.01
"""Where the next tick is due at once: two clocks differ by moments."""
STUCK_SECONDS: Final = 0.1
"""A tick that is due for longer and was not fired is held by somebody, such as a leader that is frozen."""
REST_SECONDS: Final = 3600.0
_LONGEST_NAMES: Final = 500


class Scheduler:
    """Fires ticks (B23). Comes back when the next one is due, if that is before its usual pause."""

    name = "scheduler"

    def __init__(
        self,
        ledger: Ledger,
        ring: Callable[[Sequence[Ring]], object],
        *,
        events: Events,
        clock: Clock,
        pause_seconds: float,
        batch: int,
    ) -> None:
        """Ring through `ring`, which never blocks; a schedule that is new is seen within a pause."""
        self._ledger = ledger
        self._ring = ring
        self._events = events
        self._clock = clock
        self._batch = batch
        self._pause_seconds = pause_seconds
        self._next_due: float | None = None

    @property
    def pause_seconds(self) -> float:
        """Until the next tick, as far as was seen, and no longer than its usual pause.

        What was due for a while and is still there could not be moved: to hurry would be of no use.
        """
        if self._next_due is None or self._next_due < -STUCK_SECONDS:
            return self._pause_seconds
        return min(max(self._next_due, LEAST_PAUSE_SECONDS), self._pause_seconds)

    def run_once(self) -> bool:
        """Fire one batch."""
        self._next_due = None
        if not self._is_due():
            return False
        fired = self._ledger.schedules.fire(self._batch)
        # A ring calls for what runs in a worker; a worker with a lane looks for the others by itself.
        rings = [Ring(one.job_id, one.task, one.queue, one.priority) for one in fired.ticks if not one.cohort]
        if rings:
            self._ring(rings)
        self._tell(fired)
        if not fired.is_more:
            self._is_due()
        return fired.is_more

    def _is_due(self) -> bool:
        # Looked at first: a fleet without ticks would take SQLite's one write lock each second for nothing.
        self._next_due = self._ledger.schedules.next_due()
        return self._next_due is not None and self._next_due <= 0

    def _tell(self, fired: Fired) -> None:
        if fired.ticks:
            now = self._clock.now()
            late = max((now - tick.at).total_seconds() for tick in fired.ticks)
            self._events.emit(TicksFired(count=len(fired.ticks), late_seconds=max(late, 0.0)))
        for name in fired.left_out:
            self._events.emit(TicksLeftOut(schedule=name))
        for name, why in fired.stopped:
            self._events.emit(ScheduleStopped(schedule=name, why=why))


class Declaration:
    """Tells the ledger, once in a worker's life, which schedules its code declares (B21)."""

    name = "declaration"

    def __init__(
        self,
        ledger: Ledger,
        definitions: Sequence[Definition],
        *,
        release: int,
        tasks: Collection[str],
        events: Events,
        pause_seconds: float,
    ) -> None:
        """Declare these; `tasks` are all that the code knows. Tries again after a pause until it is done."""
        self._ledger = ledger
        self._definitions = definitions
        self._release = release
        self._tasks = tasks
        self._events = events
        self._retry_seconds = pause_seconds
        self._is_done = False

    @property
    def pause_seconds(self) -> float:
        """A pause before the next try; an hour when there is nothing left to do."""
        return REST_SECONDS if self._is_done else self._retry_seconds

    def run_once(self) -> bool:
        """Declare, if that is not done yet."""
        if self._is_done:
            return False
        done = self._ledger.schedules.declare(self._definitions, release=self._release, tasks=self._tasks)
        self._is_done = True
        if done.added or done.changed or done.removed:
            self._events.emit(
                SchedulesDeclared(
                    release=self._release,
                    added=_joined(done.added),
                    changed=_joined(done.changed),
                    removed=_joined(done.removed),
                )
            )
        for name, why in done.refused:
            self._events.emit(ScheduleNotChanged(schedule=name, release=self._release, why=why))
        return False


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names)[:_LONGEST_NAMES]
