"""The parents' service: whose wait for children is over goes on, and no child is left by its parent."""

from holdfast.ledger import Ledger


class Parents:
    """Wakes parents and cancels children whose parent ended without a result (B14, B15).

    A level, not an edge: whoever ends a child looks after its parent at once, and this makes up for
    those who died before they could, and for every other way in which a job ends.
    """

    name = "parents"

    def __init__(self, ledger: Ledger, *, pause_seconds: float, batch: int) -> None:
        """Sweep every `pause_seconds`."""
        self._children = ledger.children
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Look after one batch of each."""
        woken = self._children.wake(self._batch)
        cancelled = self._children.cancel_bereaved(self._batch)
        return self._batch in (woken, cancelled)
