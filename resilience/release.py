"""Who of those that wait for an upstream may go: asked by the releaser, answered by breakers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Release:
    """The answer to how many may go."""

    tickets: tuple[str | None, ...]
    """One for each job that may go now; None: it needs none, the breaker is closed."""
    next_in_seconds: float
    """When to ask again at the latest."""


class Turnstile(Protocol):
    """Lets waiting jobs through to their upstreams."""

    def ask(self, upstream: str, waiting: int) -> Release:
        """Return who may go of so many that wait; never more tickets than that.

        Takes permits of a ramp, or the fleet's one probe, in the jobs' names.
        Raises nothing; may take up to 250 ms, so never ask on an event loop.
        """
        ...

    def give_back(self, upstream: str, tickets: Sequence[str]) -> None:
        """Take back tickets that no job took. Raises nothing; may take as long."""
        ...
