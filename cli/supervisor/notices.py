"""What the supervisor tells of its children."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Started:
    """A child runs."""

    name: str
    pid: int
    restarts: int


@dataclass(frozen=True, slots=True)
class Died:
    """A child ended by itself and will be started again."""

    name: str
    how: str
    life_seconds: float
    again_in_seconds: float


@dataclass(frozen=True, slots=True)
class Failing:
    """A child dies at once, again and again; it is still started again."""

    name: str
    how: str
    times: int
    lines: tuple[str, ...]
    """The end of its log."""
    log_path: Path


Notice = Started | Died | Failing
Listener = Callable[[Notice], None]
"""Called on the supervisor's thread; must not block."""
