"""What happens to upstreams, as typed records like those of `events.py`."""

from dataclasses import dataclass
from typing import ClassVar

from holdfast.jobs.events import Event, Level


@dataclass(frozen=True, slots=True)
class UpstreamTurned(Event):
    """The breaker of an upstream went from one phase to another, by what this process reported."""

    level: ClassVar[Level] = "warning"
    upstream: str
    turn: str
    """`opened`, `probing`, `recovering`, `relapsed`, `fell_back`, `recovered`, `forced`, `remembered`."""
    phase: str
    """What it is now: `closed`, `open`, `half_open`, `ramp`."""
    reason: str = ""
    closed_for_seconds: float = 0.0
    """No call passes for so long."""


@dataclass(frozen=True, slots=True)
class UpstreamSeen(Event):
    """This process heard that the breaker of an upstream is in another phase, or under another override."""

    level: ClassVar[Level] = "debug"
    upstream: str
    phase: str
    override: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamOverridden(Event):
    """An operator, or a fault that no retry mends, set or lifted the override of an upstream's breaker."""

    level: ClassVar[Level] = "warning"
    upstream: str
    override: str
    """`isolated`, `disabled`, `shadow`; empty: lifted."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CallRefused(Event):
    """A guard did not make a call; `would` is True if it made it and only says what it would refuse."""

    level: ClassVar[Level] = "debug"
    upstream: str
    code: str
    """The error's: `breaker_open`, `rate_limited`, `bulkhead_full`, `budget_exhausted`."""
    would: bool = False


@dataclass(frozen=True, slots=True)
class BreakerStoreLost(Event):
    """The shared state of breakers cannot be reached: this process judges by what it sees itself."""

    level: ClassVar[Level] = "warning"
    error: str


@dataclass(frozen=True, slots=True)
class BreakerStoreFound(Event):
    """The shared state of breakers is there again."""


@dataclass(frozen=True, slots=True)
class LimitStoreLost(Event):
    """The shared limits cannot be reached: this process keeps to its own share of them."""

    level: ClassVar[Level] = "warning"
    error: str


@dataclass(frozen=True, slots=True)
class LimitStoreFound(Event):
    """The shared limits are there again."""


@dataclass(frozen=True, slots=True)
class PermitLost(Event):
    """This process was silent for so long that another call may run in the place of one of its own."""

    level: ClassVar[Level] = "warning"
    bulkhead: str


@dataclass(frozen=True, slots=True)
class ChaosIsOn(Event):
    """This process fails calls to upstreams on purpose, as HOLDFAST_CHAOS says."""

    level: ClassVar[Level] = "warning"
    plan: str


@dataclass(frozen=True, slots=True)
class CallStruck(Event):
    """A call was delayed, failed or pushed back on purpose."""

    level: ClassVar[Level] = "debug"
    upstream: str
    harm: str
    """`none` (only late), `fault`, `hang`, `throttle`."""
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CacheStoreLost(Event):
    """The shared answers of a cache cannot be reached: this process keeps its own alone."""

    level: ClassVar[Level] = "warning"
    cache: str
    error: str


@dataclass(frozen=True, slots=True)
class CacheStoreFound(Event):
    """The shared answers of a cache are there again."""

    cache: str


@dataclass(frozen=True, slots=True)
class CacheRefreshFailed(Event):
    """A new answer could not be fetched behind a stale one, which is given until it is too old."""

    level: ClassVar[Level] = "warning"
    cache: str
    error_type: str


@dataclass(frozen=True, slots=True)
class CacheValueTooLarge(Event):
    """An answer was larger than a cache may keep: it was given to who asked, and not kept."""

    level: ClassVar[Level] = "warning"
    cache: str
    size_bytes: int
