"""The undertaker: workers of this machine whose process is gone are declared dead at once.

But first what they left on disk is settled with their tokens: after that their jobs are free (B16).
"""

from collections.abc import Callable

from holdfast.jobs.events import Events, WorkerDeclaredDead
from holdfast.jobs.ids import WorkerId
from holdfast.ledger import Ledger
from holdfast.workers.census import Birth, birth_of, is_proved_dead
from holdfast.workers.spool.heir import Heir, prefix_of


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
        heir: Heir | None = None,
        on_count: Callable[[int], object] = bool,
    ) -> None:
        """Look from this process; without an heir nothing on the disk is looked at.

        `on_count` is told at each look how many workers live, this one included.
        """
        self._ledger = ledger
        self._here = here
        self._self_id = self_id
        self._events = events
        self._heir = heir
        self._on_count = on_count
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Declare the dead of this machine."""
        workers = self._ledger.workers()
        self._on_count(len(workers))
        left = self._heir.replay(self._ledger) if self._heir is not None else []
        for worker in workers:
            birth = birth_of(worker)
            if worker.id == self._self_id() or not is_proved_dead(birth, self._here):
                continue
            if any(name.startswith(prefix_of(self._ledger.ledger_id, birth)) for name in left):
                # Somebody else replays it just now, or cannot: its missing beats free its jobs then.
                continue
            if self._ledger.declare_dead(worker.id, worker.beat_seq):
                self._events.emit(WorkerDeclaredDead(worker_id=worker.id, name=worker.name))
        return False
