"""In which guards a piece of code runs, and until when."""

from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Final

from holdfast.resilience.errand import current_errand


@dataclass(frozen=True, slots=True)
class Frame:
    """The guards around a call."""

    names: tuple[str, ...] = ()
    """Of upstreams, the outermost first."""
    retries: bool = False
    """One of them makes its call again: those within do not."""
    until: float | None = None
    """When the time of the innermost attempt is over, in monotonic seconds."""


NOWHERE: Final = Frame()
FRAME: Final[ContextVar[Frame]] = ContextVar("holdfast_frame", default=NOWHERE)


def time_left() -> float | None:
    """Return the seconds that the present attempt has left; None if nothing limits it.

    For what guards cannot cut off: give it to an HTTP client as its timeout. Never below 0.
    """
    on = current_errand()
    ends = [end for end in (FRAME.get().until, None if on is None else on.deadline) if end is not None]
    return max(min(ends) - monotonic(), 0.0) if ends else None
