"""Who is dead? Judged by unchanged beats on our own monotonic clock, never by anybody's wall clock (B4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import WorkerRow

_FEW = 2


@dataclass(slots=True)
class _Seen:
    beat: tuple[int, datetime]
    """Its number and its time: after a failover that forgot some, the same number may come twice."""
    since: float


class Observer:
    """Watches the beats of the fleet.

    A worker is dead when the same `beat_seq` was seen for a whole lease while
    this observer's own beats succeeded without a gap. If more than half of the
    others, and more than two, look dead at once, the sweep waits one lease
    more: that is more likely an outage than a massacre.
    """

    def __init__(self, self_id: WorkerId, *, lease_seconds: float) -> None:
        """Watch as this worker, which never judges itself."""
        self._self_id = self_id
        self._lease_seconds = lease_seconds
        self._seen: dict[WorkerId, _Seen] = {}
        self._patience_until: float | None = None
        self._looked_at: float | None = None

    def forget(self) -> None:
        """Start anew: our own beats had a gap, so what looked old may only be our own absence."""
        self._seen.clear()
        self._patience_until = None

    def look(self, workers: Sequence[WorkerRow], now: float) -> list[WorkerRow]:
        """Note the beats of all live workers at monotonic `now`; return those that are dead.

        After a gap of half a lease since the last look everything begins anew:
        whoever froze us, a stopped container for one, may have frozen them.
        """
        if self._looked_at is not None and now - self._looked_at >= self._lease_seconds / 2:
            self.forget()
        self._looked_at = now
        others = [worker for worker in workers if worker.is_alive and worker.id != self._self_id]
        known = {worker.id for worker in others}
        for gone in [worker_id for worker_id in self._seen if worker_id not in known]:
            del self._seen[gone]
        silent = [worker for worker in others if self._is_silent(worker, now)]
        if self._is_massacre(len(silent), len(others), now):
            return []
        return silent

    def _is_silent(self, worker: WorkerRow, now: float) -> bool:
        seen, beat = self._seen.get(worker.id), (worker.beat_seq, worker.seen_at)
        if seen is None or seen.beat != beat:
            self._seen[worker.id] = _Seen(beat, now)
            return False
        return now - seen.since >= self._lease_seconds

    def _is_massacre(self, silent: int, others: int, now: float) -> bool:
        if silent <= _FEW or silent * 2 <= others:
            self._patience_until = None
            return False
        if self._patience_until is None:
            self._patience_until = now + self._lease_seconds
        return now < self._patience_until
