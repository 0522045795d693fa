"""What calls leave behind, without a lock: one object for each epoch, so that late calls speak to nobody.

A call takes the present era when it begins and tells it how it ended. When
the circuit turns, a new era takes its place, and what still runs in the old
one is counted nowhere: its upstream was another one.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
_MILLI: Final = 1000


@dataclass(frozen=True, slots=True)
class Count:
    """What a report tells of an era since the last one."""

    ok: int = 0
    failed: int = 0
    pushed: int = 0
    slow: int = 0
    overdue: int = 0
    tail: int = 0
    ok_age: int = 0
    tail_age: int = 0
    retry_after: int = 0
    """Milliseconds."""
    fatal: str = ""

    @property
    def is_news(self) -> bool:
        """Tell whether anything was counted."""
        return bool(self.ok or self.failed or self.pushed or self.slow or self.overdue or self.fatal)


class Era:
    """The calls of one epoch. Calls write, the reporter alone reads and clears."""

    __slots__ = ("_overdue", "epoch", "fatal", "flights", "outcomes", "passes", "pushes")

    def __init__(self, epoch: int, *, passes: bool) -> None:
        """Begin; `passes` is the one thing that the hot path looks at."""
        self.epoch = epoch
        self.passes = passes
        self.flights: dict[int, float] = {}
        """When each call under way began, in monotonic seconds."""
        self.outcomes: list[float] = []
        """When each call that ended had begun, less than 0 if it failed; in the order in which they ended."""
        self.pushes: list[int] = []
        """Push-backs: each with the milliseconds that the upstream asked for."""
        self.fatal = ""
        self._overdue: set[int] = set()

    @property
    def has_overdue(self) -> bool:
        """Tell whether calls were told as overdue that have not been told as ended."""
        return bool(self._overdue)

    def drain(self, now: float, slow_after: float) -> Count:
        """Take what has come since the last time; whatever comes meanwhile is for the next one."""
        outcomes, pushes = _taken(self.outcomes), _taken(self.pushes)
        fatal, self.fatal = self.fatal, ""
        failed = sum(began < 0 for began in outcomes)
        tail = _tail(outcomes)
        under_way = dict(self.flights)
        late = {call for call, began in under_way.items() if now - began > slow_after}
        ended, became = self._overdue - under_way.keys(), late - self._overdue
        self._overdue = (self._overdue - ended) | became
        return Count(
            ok=len(outcomes) - failed,
            failed=failed,
            pushed=len(pushes),
            slow=len(became),
            overdue=len(became) - len(ended),
            tail=len(tail),
            ok_age=_age(now, max(outcomes, default=now)),
            tail_age=_age(now, -tail[0] if tail else now),
            retry_after=max(pushes, default=0),
            fatal=fatal,
        )


def _taken(told: list[T]) -> list[T]:
    # Each of the two steps is one of the interpreter's; what is appended in between stays.
    taken = told[:]
    del told[: len(taken)]
    return taken


def _tail(outcomes: list[float]) -> list[float]:
    for place in range(len(outcomes), 0, -1):
        if outcomes[place - 1] > 0:
            return outcomes[place:]
    return outcomes


def _age(now: float, began: float) -> int:
    return max(int((now - began) * _MILLI), 0)
