"""The heartbeat of a worker that has a companion: it introduces the worker, ticks, and looks at the page."""

import os
import signal
import threading
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.events import Events, LeaseSure, LeaseUnsure
from holdfast.jobs.ids import WorkerId
from holdfast.workers.beat import BeatCalls
from holdfast.workers.companion.introduction import LifeTerms
from holdfast.workers.companion.link import Link
from holdfast.workers.companion.seats import Seats
from holdfast.workers.threads import start

LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Companion:
    """The companion as the worker sees it."""

    link: Link
    terms: LifeTerms
    seats: Seats
    """Where it is marked who runs."""

    def tick(self, at: float) -> None:
        """Say that the loop turned at this monotonic second."""
        self.link.page.ticked_at = at

    def heartbeat(
        self, worker_id: WorkerId, *, clock: Clock, events: Events, calls: BeatCalls
    ) -> "CompanionBeat":
        """Make the heartbeat of a registered worker."""
        return CompanionBeat(self, worker_id, clock=clock, events=events, calls=calls)

    def note_leaving(self) -> None:
        """Say that it was asked to end: however it exits now accuses nobody. Safe in a signal handler."""
        self.link.page.note_leaving()

    def leave(self, exit_code: int) -> None:
        """Say that all is written: the process ends within seconds, or may be ended."""
        self.link.leave(exit_code)


class CompanionBeat:
    """Has the shape of `workers.beat.Heartbeat`, but the companion does the beating."""

    def __init__(
        self, companion: Companion, worker_id: WorkerId, *, clock: Clock, events: Events, calls: BeatCalls
    ) -> None:
        """Have beats sent for this worker; the calls are made on the thread that looks."""
        self._link = companion.link
        self._terms = companion.terms
        self._worker_id = worker_id
        self._clock = clock
        self._events = events
        self._calls = calls
        self._number = 0
        self._started_at = clock.monotonic()
        self._unsure_since = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-beat", daemon=True)

    def start(self) -> None:
        """Introduce the worker and begin to look. Raises NoThread: it may be started later."""
        if not self._number:
            self._number = self._link.introduce(self._worker_id, self._terms)
        start(self._thread)

    def stop(self) -> None:
        """Look no more; the companion goes on until the worker has left."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    @property
    def last_at(self) -> float:
        """Monotonic seconds of the last beat that the ledger took."""
        return max(self._link.page.beat_at, self._started_at)

    @property
    def unsure_seconds(self) -> float:
        """Tell for how long the ledger has not been reached; 0 if it was."""
        since = self._link.page.unsure_since
        return self._clock.monotonic() - since if since else 0.0

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            if self._link.is_orphan():
                os.kill(os.getpid(), signal.SIGKILL)
            if self._link.page.dead >= self._number:
                self._calls.on_dead()
                return
            self._look(self._link.page.unsure_since)

    def _look(self, unsure_since: float) -> None:
        if unsure_since:
            if not self._unsure_since:
                self._events.emit(LeaseUnsure(self._worker_id, error=self._link.page.unsure_error))
                self._unsure_since = unsure_since
            self._calls.on_unsure()
        elif self._unsure_since:
            away = self._clock.monotonic() - self._unsure_since
            self._unsure_since = 0.0
            self._events.emit(LeaseSure(self._worker_id, away_seconds=away))
            self._calls.on_sure()
