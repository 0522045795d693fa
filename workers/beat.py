"""The heartbeat of a worker, and the watch over the others.

Runs on its own thread with its own calls to the ledger, so that neither a
busy event loop nor a slow batch of the writer delays it. Usually that thread
is the companion's (see `workers/companion`), since a C call that keeps the
interpreter lock starves every thread of the worker.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import Events, LeaseSure, LeaseUnsure, ServiceFailed, WorkerDeclaredDead
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import WorkerRow
from holdfast.workers.observer import Observer
from holdfast.workers.threads import start

_LONGEST_ERROR: Final = 500


class BeatLedger(Protocol):
    """What the heartbeat asks of the ledger."""

    def beat(self, worker_id: WorkerId) -> bool:
        """Renew the worker's row; False if it was declared dead."""
        ...

    def workers(self) -> list[WorkerRow]:
        """Return the live workers."""
        ...

    def declare_dead(self, worker_id: WorkerId, beat_seq: int) -> bool:
        """Declare a worker dead if it still shows this beat."""
        ...


@dataclass(frozen=True, slots=True)
class BeatCalls:
    """Whom a heartbeat tells, on its own thread."""

    on_dead: Callable[[], object]
    """Declared dead, which is never undone."""
    on_unsure: Callable[[], object] = bool
    """Called at each look while the ledger takes no beats."""
    on_sure: Callable[[], object] = bool
    """The ledger takes beats again."""
    on_beat: Callable[[], object] = bool


class Heartbeat:
    """Beats every `beat_seconds`; tells when the lease becomes unsure, sure again, or is gone."""

    def __init__(
        self,
        ledger: BeatLedger,
        worker_id: WorkerId,
        *,
        beat_seconds: float,
        lease_seconds: float,
        clock: Clock,
        events: Events,
        calls: BeatCalls,
    ) -> None:
        """Beat for this worker."""
        self._ledger = ledger
        self._worker_id = worker_id
        self._beat_seconds = beat_seconds
        self._clock = clock
        self._events = events
        self._calls = calls
        self._observer = Observer(worker_id, lease_seconds=lease_seconds)
        self._stop = threading.Event()
        self._unsure_since: float | None = None
        self.last_at = clock.monotonic()
        """Monotonic seconds of the last beat that the ledger took."""
        self.error_code = ""
        """What the last missed beat met."""
        self._thread = threading.Thread(target=self._run, name="holdfast-beat", daemon=True)

    def start(self) -> None:
        """Begin to beat. Raises NoThread: it may be started later."""
        start(self._thread)

    def end(self) -> None:
        """End, without waiting for a beat that is under way."""
        self._stop.set()

    def stop(self) -> None:
        """End; waits for a beat that is under way."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(self._beat_seconds + 5.0)

    @property
    def unsure_seconds(self) -> float:
        """Tell for how long the ledger has not been reached; 0 if it was."""
        since = self._unsure_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def _run(self) -> None:
        while not self._stop.wait(self._beat_seconds):
            try:
                is_alive = self._ledger.beat(self._worker_id)
            except Exception as error:  # noqa: BLE001 -- a heartbeat that ended would be a dead worker that works on
                self._miss(error)
                continue
            if not is_alive:
                self._calls.on_dead()
                return
            self._hit()
            self._judge_others()

    def _miss(self, error: Exception) -> None:
        self._observer.forget()
        self.error_code = error.code if isinstance(error, LedgerError) else type(error).__name__
        if self._unsure_since is None:
            self._unsure_since = self._clock.monotonic()
            self._events.emit(LeaseUnsure(worker_id=self._worker_id, error=self.error_code))
        self._calls.on_unsure()

    def _hit(self) -> None:
        self.last_at = self._clock.monotonic()
        self._calls.on_beat()
        if self._unsure_since is not None:
            away = self.last_at - self._unsure_since
            self._unsure_since = None
            self._events.emit(LeaseSure(worker_id=self._worker_id, away_seconds=away))
            self._calls.on_sure()

    def _judge_others(self) -> None:
        try:
            silent = self._observer.look(self._ledger.workers(), self._clock.monotonic())
        except Exception:  # noqa: BLE001 -- the next beat finds out whether the ledger is away
            self._observer.forget()
            return
        for worker in silent:
            self._bury(worker)

    def _bury(self, worker: WorkerRow) -> None:
        try:
            is_dead = self._ledger.declare_dead(worker.id, worker.beat_seq)
        except Exception as error:  # noqa: BLE001 -- one that cannot be buried now keeps nobody from burying the others
            self._events.emit(ServiceFailed(service="beat", error=repr(error)[:_LONGEST_ERROR]))
            return
        if is_dead:
            self._events.emit(WorkerDeclaredDead(worker_id=worker.id, name=worker.name))
