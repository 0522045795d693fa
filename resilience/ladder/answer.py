"""An answer, and how far down the ladder it came from."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Degraded:
    """Why an answer is not the primary's."""

    rung: str
    """Which one answered."""
    reason: str
    """Why those above it did not: the code or class of each one's error, the primary's first."""
    age_seconds: float = 0.0
    """How old the answer is: more than 0 for a cached one."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value, and what it is worth."""

    value: T
    degraded: Degraded | None = None
    """None: the primary answered."""
