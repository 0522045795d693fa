"""How long a kept answer is good, and for what."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

DAY_SECONDS: Final = 86_400.0


class Freshness(Enum):
    """What an answer may still be used for."""

    FRESH = "fresh"
    """Everything."""
    STALE = "stale"
    """It is given at once, and a new one is fetched behind."""
    OLD = "old"
    """Only where the upstream does not answer."""
    GONE = "gone"
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How old an answer may be, in seconds since it was made."""

    ttl_seconds: float
    """So long it is fresh."""
    stale_seconds: float = 0.0
    """So much longer it is given while a new one is fetched (stale-while-revalidate, RFC 5861)."""
    stale_if_error_seconds: float = DAY_SECONDS
    """At this age nobody gets it any more, however ill the upstream is (stale-if-error, RFC 5861)."""

    def __post_init__(self) -> None:
        """Raise ValueError for times that make no sense."""
        if not self.ttl_seconds > 0:
            raise ValueError("ttl_seconds must be greater than 0")
        if not self.stale_seconds >= 0 or not self.stale_if_error_seconds >= 0:
            raise ValueError("stale_seconds and stale_if_error_seconds must be at least 0")

    @property
    def kept_seconds(self) -> float:
        """How long an answer is kept at all."""
        return max(self.ttl_seconds + self.stale_seconds, self.stale_if_error_seconds)

    def freshness(self, age_seconds: float) -> Freshness:
        """Say what an answer of this age may be used for."""
        if age_seconds < self.ttl_seconds:
            return Freshness.FRESH
        if age_seconds < self.ttl_seconds + self.stale_seconds:
            return Freshness.STALE
        return Freshness.OLD if age_seconds < self.kept_seconds else Freshness.GONE
