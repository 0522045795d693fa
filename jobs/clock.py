"""Time and chance, injected: the only module that asks the machine for them."""

import random
import time
from datetime import UTC, datetime
from typing import Final, Protocol


class Clock(Protocol):
    """Where a component gets the time from.

    `now` is for what people read; `monotonic` (seconds, arbitrary zero) is for
    intervals, and the only one a lease may be judged by.
    """

    def now(self) -> datetime:
        """Return the present instant, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, also when the wall clock does."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.monotonic()


def unix_nanoseconds() -> int:
    """Return the wall clock in nanoseconds since 1970, for time-ordered ids."""
    return time.time_ns()


# The system's: no state that a forked child would share, or that a thread would disturb for a seeded test.
_chance: Final = random.SystemRandom()


def random_fraction() -> float:
    """Return a number in [0, 1) for jitter. Not for secrets."""
    return _chance.random()
