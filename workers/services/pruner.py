"""The pruner: finished jobs leave after their retention."""

from holdfast.ledger import Ledger


class Pruner:
    """Removes final jobs, old keys and tombstones in small batches."""

    name = "pruner"

    def __init__(
        self,
        ledger: Ledger,
        *,
        completed_seconds: float,
        quarantined_seconds: float,
        pause_seconds: float,
        batch: int,
    ) -> None:
        """Keep completed and cancelled jobs for one time, quarantined ones for another."""
        self._ledger = ledger
        self._completed_seconds = completed_seconds
        self._quarantined_seconds = quarantined_seconds
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Remove one batch."""
        removed = self._ledger.prune(
            completed_seconds=self._completed_seconds,
            quarantined_seconds=self._quarantined_seconds,
            limit=self._batch,
        )
        return removed >= self._batch
