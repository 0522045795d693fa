"""The pruner: finished jobs leave after their retention."""

from holdfast.jobs.retention import RetentionPolicy
from holdfast.ledger import Ledger


class Pruner:
    """Removes final jobs, old keys and tombstones in small batches."""

    name = "pruner"

    def __init__(self, ledger: Ledger, policy: RetentionPolicy, *, pause_seconds: float, batch: int) -> None:
        """Keep jobs as long as the policy says."""
        self._ledger = ledger
        self._policy = policy
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Remove one batch."""
        return self._ledger.retention.prune(self._policy, self._batch) >= self._batch
