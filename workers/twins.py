"""Two workers of one name: who is there already, and whether it lives (B5).

A row of our name is either a predecessor that died without a word, or a twin
that lives. A process of this machine that is gone proves the first at once.
Otherwise its beats are watched on our own monotonic clock, for a whole lease.
"""

from collections.abc import Callable
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import WorkerNameTaken
from holdfast.jobs.events import Events, TwinWatched
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import WorkerRow
from holdfast.ledger import Ledger
from holdfast.workers.census import Birth, birth_of, is_proved_dead
from holdfast.workers.observer import Observer

_LOOKS_PER_LEASE: Final = 20


class Twins:
    """The other workers of a name."""

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        here: Birth,
        *,
        lease_seconds: float,
        events: Events,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        """Look for workers of this name, from this process; `pause` waits for seconds."""
        self._ledger = ledger
        self._name = name
        self._here = here
        self._lease_seconds = lease_seconds
        self._events = events
        self._clock = clock
        self._pause = pause

    def outlived(self, self_id: WorkerId) -> list[WorkerRow]:
        """Return the workers of our name that are dead, though nobody has said so; waits up to a lease.

        Raises WorkerNameTaken as soon as one of them beats, LedgerUnavailable.
        """
        observer = Observer(self_id, lease_seconds=self._lease_seconds)
        first: dict[WorkerId, int] = {}
        while True:
            twins = self._ledger.live_twins(self._name, self_id)
            doubtful = [twin for twin in twins if not self._is_proved_dead(twin)]
            for twin in doubtful:
                if twin.id not in first:
                    self._events.emit(TwinWatched(twin.id, self._name, twin.host, self._lease_seconds))
                elif twin.beat_seq != first[twin.id]:
                    raise taken(twin)
                first[twin.id] = twin.beat_seq
            silent = observer.look(doubtful, self._clock.monotonic())
            if len(silent) == len(doubtful):
                return twins
            self._pause(self._lease_seconds / _LOOKS_PER_LEASE)

    def refuse_elder(self, self_id: WorkerId) -> None:
        """Raise WorkerNameTaken if a twin lives that registered before us: of two newcomers one may stay."""
        for row in self._ledger.workers():
            if row.id == self_id:
                return
            if row.name == self._name and not self._is_proved_dead(row):
                raise taken(row)

    def _is_proved_dead(self, twin: WorkerRow) -> bool:
        return is_proved_dead(birth_of(twin), self._here)


def taken(twin: WorkerRow) -> WorkerNameTaken:
    """Say which worker has the name."""
    return WorkerNameTaken(
        detail=f"{twin.name!r} runs on host {twin.host} as process {twin.pid} (worker {twin.id})"
    )
