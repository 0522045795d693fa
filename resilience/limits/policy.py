"""What a rate limit allows, in the words of the one who sets it."""

import math
import re
from dataclasses import dataclass
from typing import Final, Self

MICRO: Final = 1_000_000
REQUESTS: Final = "requests"
MOST_SECONDS: Final = 86_400.0
"""Nothing is counted over more than a day."""
LARGEST: Final = 10**9
"""Of counts, bursts and weights: times are whole microseconds, and a script of Redis counts to 2^53."""
_BURST_SHARE: Final = 10
_LATE_SECONDS: Final = 0.3
"""How late callers may be whose turn it is, without a unit being lost."""
_UNITS: Final = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3_600.0, "hour": 3_600.0, "day": 86_400.0}
_TEXT: Final = re.compile(
    r"(?P<count>[0-9_]+)(?: +(?P<name>[a-z_]+))? *(?:/|per) *"
    r"(?P<times>[0-9]+)? *(?P<unit>s|sec|min|h|hour|day)(?: +by +(?P<by>[a-z_]+))?"
)
_SLACK: Final = 1_000
_MOST_PERIODS: Final = 10
_MOST_COST: Final = 10**14
"""Three years: added to an instant it is far below 2^53."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many units of one kind (requests, tokens) in so much time, for all or for each key.

    Steady: units come back one by one (GCRA, a leaky bucket that is one number),
    so no window lets twice as many pass at its border.
    """

    name: str
    """What is counted, as `weights` name it: `requests`, `tokens`."""
    count: int
    per_seconds: float = 60.0
    burst: int = 0
    """How many may pass at once after a rest; 0: a tenth of the count, or what comes in 0.3 s.

    In any stretch of `per_seconds` at most `count + burst` units pass.
    """
    by: str = ""
    """The limit is kept for each value of the key of this name (`tenant`); empty: one for all calls."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not self.name:
            raise ValueError("RateLimit needs the name of what it counts")
        if not 1 <= self.count <= LARGEST or not 0 <= self.burst <= LARGEST:
            raise ValueError(f"RateLimit {self.name!r}: counts must be from 1 to {LARGEST}")
        if not 0 < self.per_seconds <= MOST_SECONDS:
            raise ValueError(f"RateLimit {self.name!r}: the time must be more than 0 s, and at most a day")

    @classmethod
    def parse(cls, text: str, *, burst: int = 0) -> Self:
        """Read `60/min`, `90_000 tokens/min`, `5 requests per 10 s by tenant`; without a name: requests.

        Units are s, sec, min, h, hour, day. Raises ValueError for anything else.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no rate limit; write it like '90_000 tokens/min by tenant'")
        seconds = int(found["times"] or 1) * _UNITS[found["unit"]]
        return cls(found["name"] or REQUESTS, int(found["count"]), seconds, burst, found["by"] or "")

    @property
    def at_once(self) -> int:
        """How many may pass at once."""
        late = math.ceil(self.count * min(_LATE_SECONDS / self.per_seconds, 1.0))
        return self.burst or max(self.count // _BURST_SHARE, late)

    @property
    def period(self) -> int:
        """The time in whole microseconds."""
        return max(round(self.per_seconds * MICRO), 1)

    def cost(self, weight: int) -> int:
        """Return how long so many units take to come back, in microseconds; rounded against the caller."""
        return min(-(-weight * self.period // self.count), _MOST_COST)

    @property
    def depth(self) -> int:
        """Return the same for a burst, with room for the rounding of a thousand single units."""
        return self.cost(self.at_once) + min(self.at_once, _SLACK)

    @property
    def longest(self) -> int:
        """Return the longest debt: ten times the limit's own time beyond its burst, the rest is forgotten."""
        return _MOST_PERIODS * self.period + self.depth
