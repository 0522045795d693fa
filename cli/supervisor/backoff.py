"""When to start a child again that ended by itself. Pure."""

from dataclasses import dataclass, replace
from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 10.0
LONG_LIFE_SECONDS: Final = 30.0
"""After so long a life a death counts as the first."""
SHORT_LIFE_SECONDS: Final = 15.0
"""A child that lives shorter was never at work: a busy machine takes seconds to find that a module fails."""
TELLING: Final = 3
"""After so many short lives in a row it is time to tell somebody why."""
TELL_AGAIN: Final = 10


@dataclass(frozen=True, slots=True)
class Deaths:
    """What is known of a child's past."""

    in_a_row: int = 0
    short_in_a_row: int = 0

    def after(self, life_seconds: float) -> "Deaths":
        """Count one more death."""
        row = 1 if life_seconds >= LONG_LIFE_SECONDS else self.in_a_row + 1
        short = self.short_in_a_row + 1 if life_seconds < SHORT_LIFE_SECONDS else 0
        return replace(self, in_a_row=row, short_in_a_row=short)

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next start: 0.2 s, doubled with each death in a row, 10 s at most."""
        exponent = min(max(self.in_a_row - 1, 0), 10)
        return min(FIRST_SECONDS * (1 << exponent), LONGEST_SECONDS)

    @property
    def is_failing(self) -> bool:
        """Whether it dies at once, again and again."""
        return self.short_in_a_row >= TELLING

    @property
    def is_worth_telling(self) -> bool:
        """Whether this death is one to show the log at: the third in a row, then every tenth."""
        return self.short_in_a_row == TELLING or (self.is_failing and self.short_in_a_row % TELL_AGAIN == 0)
