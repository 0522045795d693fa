"""How many calls of an upstream may be made again: a tenth of all, so that retries never become the load."""

import itertools
import threading
from typing import Final

CAP: Final = 10.0
"""Retries that an idle time saves up."""
SHARE: Final = 0.1
"""Of a retry that each first call pays for."""
FLOOR: Final = 3
"""So many at one time are allowed though nothing is saved: an upstream with few calls has no tenth."""


class RetryBudget:
    """Counts for one upstream in one process.

    The token bucket of retry budgets, as in Finagle and gRPC (proposal A6).
    """

    def __init__(self, calls: "itertools.count[int]") -> None:
        """Begin with a full bucket; every call, also a retry, takes its number from `calls`."""
        self._calls = calls
        self._others = 0
        """Numbers that were taken by retries, and by reading."""
        self._paid_for = 0
        self._saved = CAP
        self._under_way = 0
        self._lock = threading.Lock()
        self.refused = 0
        """Retries that were not made for want of a budget."""

    def try_to_spend(self) -> bool:
        """Take one retry, at the moment when it is made; `finish` says when it is over."""
        with self._lock:
            self._save_up()
            if self._saved >= 1.0:
                self._saved -= 1.0
            elif self._under_way >= FLOOR:
                self.refused += 1
                return False
            self._under_way += 1
            self._others += 1
            return True

    def finish(self) -> None:
        """Tell that a retry is over, however it ended."""
        with self._lock:
            self._under_way -= 1

    def _save_up(self) -> None:
        # Reading a counter takes a number from it, too.
        first_calls = max(next(self._calls) - self._others, self._paid_for)
        self._others += 1
        self._saved = min(self._saved + (first_calls - self._paid_for) * SHARE, CAP)
        self._paid_for = first_calls
