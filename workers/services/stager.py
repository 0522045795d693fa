"""The stager: due jobs become available, and what is available and silent is rung."""

from collections.abc import Callable, Sequence
from typing import Final

from holdfast.jobs.events import Events, JobsStaged
from holdfast.jobs.job import Ring
from holdfast.jobs.ring_events import RingsSent
from holdfast.ledger import Ledger

LEAST_PAUSE_SECONDS: Final = 0.1
"""However many jobs are due one after the other."""


class Stager:
    """Moves scheduled jobs whose time has come, and rings whatever is due to be rung (B9, B10).

    Comes back when the next job is due, if that is sooner than its pause: who was told to call again in
    so many seconds is not to come a second late, together with all others who were told so.
    """

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
        self._pause_seconds = pause_seconds
        self._next_due: float | None = None

    @property
    def pause_seconds(self) -> float:
        """Until the next job is due, as far as was seen, and no longer than its usual pause.

        What is due and still there could not be moved: to hurry would be of no use.
        """
        if self._next_due is None or self._next_due <= 0:
            return self._pause_seconds
        return min(max(self._next_due, LEAST_PAUSE_SECONDS), self._pause_seconds)

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
        self._next_due = self._ledger.next_due()
        return staged == self._batch or len(rings) == self._batch
