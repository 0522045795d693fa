"""The retry policy of a task."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how patiently, a failed job is tried again.

    Defaults are those of an agent job: five attempts, full jitter from two
    seconds to five minutes. Waits are spent in the ledger, never in a worker.
    """

    max_attempts: int = 5
    """Attempts in all, the first counted; 1 to 1,000. 1 means no retry, not even after a pushback.

    A pushback of an upstream (HTTP 429 and its like) spends none, nor does a call that our own breaker
    or limit refused.
    """
    base_seconds: float = 2.0
    """The first wait is at most this long."""
    cap_seconds: float = 300.0
    """No wait is longer, unless the upstream asked for it."""
    retry_on: tuple[type[BaseException], ...] = ()
    """Exceptions that are worth another try, whatever the classifier says."""
    give_up_on: tuple[type[BaseException], ...] = ()
    """Exceptions that are not; wins over `retry_on`."""
    unknown_attempts: int = 2
    """Attempts in all for an exception that nobody knows: it is more likely a bug than bad luck."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not 1 <= self.max_attempts <= 1_000:  # noqa: PLR2004 -- the bounds are stated above
            raise ValueError("RetryPolicy.max_attempts must be from 1 to 1,000")
        if self.unknown_attempts < 1:
            raise ValueError("RetryPolicy.unknown_attempts must be at least 1")
        if not 0 <= self.base_seconds <= self.cap_seconds:
            raise ValueError("RetryPolicy needs 0 <= base_seconds <= cap_seconds")
