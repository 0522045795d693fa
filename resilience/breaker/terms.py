"""A policy in the whole numbers that the decision and the store's script compute with."""

from dataclasses import dataclass
from typing import Self

from holdfast.resilience.breaker.policy import BreakerPolicy

SLOTS = 10
"""A window is counted in so many parts."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Times in milliseconds, rates in calls a thousand seconds; the names are those of the policy."""

    streak: int
    least_calls: int
    failing_percent: int
    window: int
    slot: int
    """One part of the window."""
    rare_calls: int
    rare: int
    least_slow_calls: int
    slow_percent: int
    open: int
    longest_open: int
    longest_retry_after: int
    forgive: int
    probe_lease: int
    longest_probe: int
    probe_successes: int
    long_probe: int
    least_rate: int
    most_rate: int
    """Beyond this a ramp does not grow: whoever takes so many calls is well."""
    ramp_start: int
    quick_growth: int
    slow_growth: int
    cut_percent: int
    ramp_window: int
    well_percent: int
    fatal: int
    backlog_counts: int
    """How long a word about parked jobs counts."""

    @classmethod
    def of(cls, policy: BreakerPolicy) -> Self:
        """Translate a policy."""
        window = _milli(policy.window_seconds)
        return cls(
            streak=policy.streak,
            least_calls=policy.least_calls,
            failing_percent=policy.failing_percent,
            window=window,
            slot=max(window // SLOTS, 1),
            rare_calls=policy.rare_calls,
            rare=_milli(policy.rare_seconds),
            least_slow_calls=policy.least_slow_calls,
            slow_percent=policy.slow_percent,
            open=_milli(policy.open_seconds),
            longest_open=_milli(policy.longest_open_seconds),
            longest_retry_after=_milli(policy.longest_retry_after_seconds),
            forgive=_milli(policy.forgive_seconds),
            probe_lease=_milli(policy.probe_lease_seconds),
            longest_probe=_milli(policy.longest_probe_seconds),
            probe_successes=policy.probe_successes,
            long_probe=_milli(policy.long_probe_seconds),
            least_rate=_milli(policy.least_rate),
            most_rate=10**9,
            ramp_start=policy.ramp_start_percent,
            quick_growth=policy.quick_growth_percent,
            slow_growth=policy.slow_growth_percent,
            cut_percent=policy.cut_percent,
            ramp_window=_milli(policy.ramp_window_seconds),
            well_percent=policy.well_percent,
            fatal=_milli(policy.fatal_seconds),
            backlog_counts=15_000,
        )


def _milli(number: float) -> int:
    return max(round(number * 1000), 1)
