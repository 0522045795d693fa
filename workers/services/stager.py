"""The stager: due jobs become available, and what is available and silent is rung."""

from collections.abc import Callable, Sequence

from holdfast.jobs.events import Events, JobsStaged, RingsSent
from holdfast.jobs.job import Ring
from holdfast.ledger import Ledger


class Stager:
    """Moves scheduled jobs whose time has come, and rings whatever is due to be rung (B9, B10)."""

    name = "stager"

    def __init__(
        self,
        ledger: Ledger,
        ring: Callable[[Sequence[Ring]], object],
        *,
        epoch: Callable[[], str | None],
        events: Events,
        pause_seconds: float,
        batch: int,
    ) -> None:
        """Ring through `ring`, which never blocks; `epoch` is the broker's, None while it is unknown."""
        self._ledger = ledger
        self._ring = ring
        self._epoch = epoch
        self._events = events
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Stage and ring one batch each."""
        staged = self._ledger.stage(self._batch)
        if staged:
            self._events.emit(JobsStaged(count=staged))
        rings = self._ledger.due_rings(limit=self._batch, epoch=self._epoch())
        wanted = [ring for ring in rings if not ring.is_held]
        if wanted:
            self._ring(wanted)
            self._events.emit(RingsSent(count=len(wanted)))
        return staged == self._batch or len(rings) == self._batch
