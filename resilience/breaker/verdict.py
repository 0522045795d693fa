"""What a call's end says about its upstream."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Ending(StrEnum):
    """How a call counts."""

    OK = "ok"
    FAILED = "failed"
    PUSHED = "pushed"
    """The upstream is well and wants fewer calls."""
    NEUTRAL = "neutral"
    """It says nothing of the upstream: cancelled, refused by ourselves, or wrong in itself."""
    FATAL = "fatal"
    """No retry mends it, for anybody: a key that is refused, a quota that is spent."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a call counts, and how long the upstream asked to be left alone."""

    ending: Ending
    retry_after_seconds: float = 0.0
    why: str = ""
    """For FATAL: in words, without anything secret."""


SUCCESS: Final = Verdict(Ending.OK)
FAILURE: Final = Verdict(Ending.FAILED)
NO_VERDICT: Final = Verdict(Ending.NEUTRAL)
