"""The right to one call that was taken beforehand, in the name of a job that waited for it.

A parked job is not released to ask for a permit among all others: the releaser
takes the permit (of a ramp) or the fleet's one probe (of an open breaker), and
the job brings it along. So each call is charged once, and the probe is a real job.
"""

from dataclasses import dataclass
from typing import Final, Self

LONGEST_UPSTREAM: Final = 128
"""Characters of an upstream's name."""
LONGEST_TICKET: Final = 255
_SEPARATOR: Final = "|"
_PARTS: Final = 3


def is_upstream(name: object) -> bool:
    """Tell whether this may be an upstream's name: 1 to 128 printable characters."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST_UPSTREAM and name.isprintable()


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call to one upstream, good for one epoch of its circuit."""

    upstream: str
    epoch: int
    """Of the circuit when it was taken: in a later one it is worth nothing."""
    probe: str = ""
    """The token of the fleet's probe, if that is what was taken; else it is a ramp's permit."""

    def __str__(self) -> str:
        """Write it as one text, at most 255 characters."""
        return _SEPARATOR.join((str(self.epoch), self.probe, self.upstream))

    @classmethod
    def of(cls, text: str | None) -> Self | None:
        """Read what `str` wrote; None for anything else, as such a ticket is worth nothing."""
        parts = (text or "").split(_SEPARATOR, _PARTS - 1)
        if len(parts) != _PARTS or not (parts[0].isascii() and parts[0].isdigit()):
            return None
        return cls(parts[2], int(parts[0]), parts[1])
