"""Who runs maintenance: the holder of an expiring row, never of a session lock."""

from collections.abc import Callable

from holdfast.jobs.clock import Clock
from holdfast.jobs.ids import WorkerId
from holdfast.ledger import Ledger


class Leadership:
    """Asks for the lead, and asks again at a third of its life. A frozen leader loses it by itself."""

    def __init__(
        self, ledger: Ledger, role: str, worker_id: Callable[[], WorkerId], *, seconds: float, clock: Clock
    ) -> None:
        """Lead `role` for `seconds` at a time."""
        self._ledger = ledger
        self._role = role
        self._worker_id = worker_id
        self._seconds = seconds
        self._clock = clock
        self._ask_at = 0.0
        self._leads = False

    def __call__(self) -> bool:
        """Tell whether this process leads. Raises LedgerUnavailable."""
        now = self._clock.monotonic()
        if now >= self._ask_at:
            self._leads = False
            self._leads = self._ledger.lead(self._role, self._worker_id(), seconds=self._seconds)
            self._ask_at = now + self._seconds / 3
        return self._leads
