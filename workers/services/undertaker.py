"""The undertaker: workers of this machine whose process is gone are declared dead at once."""

from collections.abc import Callable

from holdfast.jobs.events import Events, WorkerDeclaredDead
from holdfast.jobs.ids import WorkerId
from holdfast.ledger import Ledger
from holdfast.workers.census import Birth, is_proved_dead


class Undertaker:
    """Looks for proof of death (B5). Runs in every worker, since the proof is found on one machine only."""

    name = "undertaker"

    def __init__(
        self,
        ledger: Ledger,
        here: Birth,
        self_id: Callable[[], WorkerId],
        *,
        events: Events,
        pause_seconds: float,
    ) -> None:
        """Look from this process."""
        self._ledger = ledger
        self._here = here
        self._self_id = self_id
        self._events = events
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Declare the dead of this machine."""
        for worker in self._ledger.workers():
            birth = Birth(worker.machine_id, worker.pid, worker.started_marker)
            if worker.id == self._self_id() or not is_proved_dead(birth, self._here):
                continue
            if self._ledger.declare_dead(worker.id, worker.beat_seq):
                self._events.emit(WorkerDeclaredDead(worker_id=worker.id, name=worker.name))
        return False
