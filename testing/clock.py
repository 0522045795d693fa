"""A clock that stands still until the test moves it."""

from datetime import UTC, datetime, timedelta

from holdfast.jobs.clock import SystemClock


class FakeClock:
    """What the worker and the ledger's database read instead of the machine's clocks.

    It begins at the real time unless told otherwise, so that an instant which
    your code computes from the real time means what it says.
    """

    def __init__(self, starts_at: datetime | None = None) -> None:
        """Begin at this instant, which needs a time zone."""
        start = (starts_at or SystemClock().now()).astimezone(UTC)
        # The database counts milliseconds.
        self._start = start.replace(microsecond=start.microsecond // 1000 * 1000)
        self._passed = timedelta()

    def now(self) -> datetime:
        """Return the instant that it shows, in UTC."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return the seconds since it began."""
        return self._passed.total_seconds()

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises ValueError for a time that goes back."""
        if not seconds >= 0:
            raise ValueError(f"time goes on, and not by {seconds} s")
        self._passed += timedelta(seconds=seconds)

    def advance_to(self, instant: datetime) -> None:
        """Let time pass until an instant; one that is over changes nothing."""
        self._passed = max(self._passed, instant - self._start)
