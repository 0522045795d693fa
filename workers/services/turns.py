"""The service of turns: who waits under a limit on how many run at once goes on when there is a place."""

from holdfast.ledger import Ledger


class Turns:
    """Releases jobs whose turn has come.

    A level, not an edge: whoever ends a limited job looks who is next, and this makes up for those who
    died before they could, and for places that a rescue or a cancel has freed (B14).
    """

    name = "turns"

    def __init__(self, ledger: Ledger, *, pause_seconds: float, batch: int) -> None:
        """Sweep every `pause_seconds`."""
        self._concurrency = ledger.concurrency
        self._batch = batch
        self.pause_seconds = pause_seconds

    def run_once(self) -> bool:
        """Release one batch."""
        return self._concurrency.release(self._batch) == self._batch
