"""How a breaker judges: its thresholds and times, with the defaults of a model call."""

from dataclasses import dataclass
from typing import Final

PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When the fleet stops calling an upstream, and how it comes back.

    Times are seconds, rates calls a second. The same numbers serve a breaker
    of one process and one that a fleet shares.
    """

    streak: int = 20
    """So many failures without a success in between open it: a total outage is found in milliseconds."""
    least_calls: int = 20
    """Below so many outcomes in the window no rate is judged."""
    failing_percent: int = 50
    """This share of failures opens it: half an outage never makes a streak."""
    window_seconds: float = 30.0
    rare_calls: int = 20
    """Fewer outcomes than `least_calls` in a window: the last so many are judged instead."""
    rare_seconds: float = 600.0
    """How old the oldest of them may be."""
    slow_after_seconds: float = 60.0
    """A call that takes longer is slow from that moment on, whether or not it ever ends."""
    least_slow_calls: int = 10
    slow_percent: int = 80
    open_seconds: float = 5.0
    """The first wait before a probe; doubled with each opening in a row."""
    longest_open_seconds: float = 8.0
    """No wait is longer. A probe is one call of the whole fleet; one that comes late costs all jobs."""
    longest_retry_after_seconds: float = 600.0
    """What an upstream asks for beyond this is cut."""
    forgive_seconds: float = 300.0
    """Closed for so long, one opening is forgotten."""
    probe_lease_seconds: float = 15.0
    """A prober that is not heard of for so long has died."""
    longest_probe_seconds: float = 600.0
    probe_successes: int = 2
    """In a row; one is enough if the probe took longer than `long_probe_seconds`."""
    long_probe_seconds: float = 30.0
    least_rate: float = 1.0
    """Where a ramp begins at the lowest, and where no cut goes below."""
    ramp_start_percent: int = 20
    """Of the rate before the trouble."""
    quick_growth_percent: int = 130
    """A second's rate of the one before, until the first failure."""
    slow_growth_percent: int = 101
    """The same afterwards, and one percent more for each four seconds in which nothing failed."""
    cut_percent: int = 89
    """What a failure leaves of the rate; at most once a second."""
    ramp_window_seconds: float = 10.0
    """What is judged during a ramp, and how long all must be well before it is over."""
    well_percent: int = 10
    """Fewer failures than this share are well."""
    fatal_seconds: float = 900.0
    """How long a fault that no retry mends (a key that is refused) isolates the upstream."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        counts = (self.streak, self.least_calls, self.rare_calls, self.least_slow_calls, self.probe_successes)
        if min(counts) < 1:
            raise ValueError("BreakerPolicy: every count must be at least 1")
        shares = (self.failing_percent, self.slow_percent, self.cut_percent, self.well_percent)
        if not all(1 <= share <= PERCENT for share in (*shares, self.ramp_start_percent)):
            raise ValueError("BreakerPolicy: every share must be from 1 to 100 percent")
        if min(self.quick_growth_percent, self.slow_growth_percent) <= PERCENT:
            raise ValueError("BreakerPolicy: a ramp that does not grow never ends; use more than 100 percent")
        if not 0 < self.open_seconds <= self.longest_open_seconds:
            raise ValueError("BreakerPolicy needs 0 < open_seconds <= longest_open_seconds")
        times = (self.window_seconds, self.rare_seconds, self.slow_after_seconds, self.forgive_seconds)
        more = (self.probe_lease_seconds, self.longest_probe_seconds, self.ramp_window_seconds)
        if min(*times, *more, self.least_rate) <= 0:
            raise ValueError("BreakerPolicy: every time and rate must be greater than 0")


LOCAL: Final = BreakerPolicy(streak=5, least_calls=10, rare_calls=10)
"""For one process that is on its own: it sees little, so less has to be enough."""
