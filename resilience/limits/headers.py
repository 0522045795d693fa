"""What an upstream's answer says about its own limits, in the spellings of OpenAI and Anthropic.

    x-ratelimit-remaining-requests, x-ratelimit-limit-requests, x-ratelimit-reset-requests    (also -tokens)
    anthropic-ratelimit-requests-remaining, ...-limit, ...-reset    (also tokens, input-tokens, output-tokens)
    ratelimit-remaining, x-ratelimit-remaining                      of requests, as most others send

A reset is when the budget is full again (both write token buckets), as a
duration or as an instant. What cannot be read says nothing; nothing raises.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from holdfast.resilience.limits.policy import REQUESTS
from holdfast.resilience.retry_after import header_values, reset_seconds

_REMAINING: Final = re.compile(
    r"(?:x-)?rate-?limit-(?P<part>remaining)(?:-(?P<name>[a-z0-9-]+))?"
    r"|anthropic-ratelimit-(?P<other>[a-z0-9-]+)-(?P<end>remaining)"
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Told:
    """What is left of one budget."""

    name: str
    """As limits name it: `requests`, `tokens`, `input_tokens`."""
    remaining: int
    most: int | None = None
    full_in_seconds: float | None = None

    @property
    def next_in_seconds(self) -> float:
        """Until the next unit, where nothing is left."""
        if self.remaining > 0 or self.full_in_seconds is None:
            return 0.0
        return self.full_in_seconds / max(self.most or 1, 1)


def told(headers: object, *, now: datetime) -> list[Told]:
    """Return what headers say about what is left; `headers` is what `retry_after_seconds` takes."""
    values = header_values(headers)
    return [
        Told(
            (found["name"] or found["other"] or REQUESTS).replace("-", "_"),
            remaining,
            _least(values.get(name.replace("remaining", "limit"), [])),
            reset_seconds(values.get(name.replace("remaining", "reset"), ()), now=now),
        )
        for name in values
        if (found := _REMAINING.fullmatch(name)) and (remaining := _least(values[name])) is not None
    ]


def _least(values: list[str]) -> int | None:
    numbers = [max(int(float(value)), 0) for value in values if _NUMBER.fullmatch(value)]
    return min(numbers, default=None)
