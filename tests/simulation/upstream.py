"""An upstream that is down at first, takes a call or two at a time, and then all: the same for everybody."""

import itertools
from collections.abc import Sequence
from typing import Final

from holdfast.jobs.errors import BreakerOpen
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.release import Release
from holdfast.tests.simulation.fibers import Kernel

SEARCH: Final = "search"
_PROBES_FROM: Final = 2.0
_PROBES_FOR: Final = 10.0
_ASK_AGAIN_SECONDS: Final = 0.5


class Upstream:
    """Its breaker: the turnstile of the releasers, and what a call runs into."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._numbers = itertools.count(1)
        self._half_open_at = _PROBES_FROM + kernel.random.random() * 2.0
        self._closed_at = self._half_open_at + _PROBES_FOR

    def ask(self, upstream: str, waiting: int) -> Release:
        """Let nobody go, two with tickets, or all."""
        now = self._kernel.now
        if now >= self._closed_at:
            return Release((None,) * waiting, _ASK_AGAIN_SECONDS)
        if now < self._half_open_at:
            return Release((), self._half_open_at - now)
        tickets = tuple(str(Ticket(upstream, next(self._numbers))) for _ in range(min(waiting, 2)))
        return Release(tickets, _ASK_AGAIN_SECONDS)

    def give_back(self, upstream: str, tickets: Sequence[str]) -> None:
        """Forget them: numbers are cheap."""

    def call(self, ticket: Ticket | None) -> None:
        """Be called. Raises BreakerOpen."""
        if self._kernel.now < self._closed_at and ticket is None:
            raise BreakerOpen(upstream=SEARCH, retry_after_seconds=self._closed_at - self._kernel.now)
