"""Whose job is started next: shares of priorities, turns of queues and of tenants.

A worker that cannot run all that waits keeps a rota. Nine of ten starts go to
the most urgent priority that waits, the tenth to the others in turn, so that
none starves. Within a priority the queues take turns, within a queue the
tenants, each with as many jobs as its weight; jobs without a tenant are one
tenant more.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T", int, str)

SHARE: Final = 10
"""Of so many starts one goes to the priorities below the most urgent one that waits."""
HEAVIEST: Final = 100
"""The largest weight of a tenant."""
_WEIGHT: Final = re.compile("[1-9][0-9]{0,2}")
_HOW: Final = "write TENANT=WEIGHT, as in `acme=3, research=2`"


class Group(NamedTuple):
    """Jobs between which only their age decides."""

    priority: int
    queue: str
    tenant: str | None


@dataclass(slots=True)
class Rota:
    """Who was served last, in this worker. Not safe for threads."""

    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    """Jobs that a tenant may start in each of its turns; 1 for those that are not named."""
    starts: int = 0
    lower: int = -1
    """The last priority that was served from that share."""
    queues: dict[int, str] = field(default_factory=dict[int, str])
    """The last queue of each priority."""
    tenants: dict[tuple[int, str], tuple[str | None, int]] = field(
        default_factory=dict[tuple[int, str], tuple[str | None, int]]
    )
    """The last tenant of each priority and queue, and how many it has started in its turn."""

    def copy(self) -> "Rota":
        """Return one that goes on from here by itself, for a plan that may come to nothing."""
        return Rota(self.weights, self.starts, self.lower, dict(self.queues), dict(self.tenants))

    def become(self, other: "Rota") -> None:
        """Go on where another one, that was copied from this, has come to."""
        self.starts, self.lower = other.starts, other.lower
        self.queues, self.tenants = other.queues, other.tenants

    def last(self, priority: int, queue: str) -> tuple[str | None, bool] | None:
        """Return the last tenant of a priority and queue, and whether its turn goes on; None: none yet."""
        if (priority, queue) not in self.tenants:
            return None
        tenant, served = self.tenants[priority, queue]
        return tenant, served < self._weight(tenant)

    def plan(self, waiting: Sequence[Group], wanted: int) -> list[Group]:
        """Say from which groups the next jobs are taken, one after the other, as if each had enough of them.

        `waiting` names the tenants of each priority and queue in the order of their turns, beginning after
        the `last` one, or with it if its turn goes on. Moves the rota on.
        """
        if not waiting:
            return []
        lines = _lines(waiting)
        return [self._next(lines) for _ in range(wanted)]

    def _next(self, lines: dict[tuple[int, str], deque[str | None]]) -> Group:
        priority = self._priority(sorted({priority for priority, _ in lines}))
        queue = _after(
            self.queues.get(priority), sorted(queue for known, queue in lines if known == priority)
        )
        self.queues[priority] = queue
        line = lines[priority, queue]
        tenant = line[0]
        last, served = self.tenants.get((priority, queue), (None, 0))
        served = served + 1 if tenant == last and served < self._weight(tenant) else 1
        self.tenants[priority, queue] = (tenant, served)
        if served >= self._weight(tenant):
            line.rotate(-1)
        return Group(priority, queue, tenant)

    def _priority(self, waiting: list[int]) -> int:
        self.starts += 1
        if len(waiting) == 1 or self.starts % SHARE:
            return waiting[0]
        self.lower = _after(self.lower, waiting[1:])
        return self.lower

    def _weight(self, tenant: str | None) -> int:
        return self.weights.get(tenant or "", 1)


def _lines(waiting: Sequence[Group]) -> dict[tuple[int, str], deque[str | None]]:
    lines: dict[tuple[int, str], deque[str | None]] = {}
    for group in waiting:
        lines.setdefault((group.priority, group.queue), deque()).append(group.tenant)
    return lines


def _after(last: T | None, names: list[T]) -> T:
    return next((name for name in names if last is None or name > last), names[0])


def weights_of(entries: Sequence[str]) -> dict[str, int]:
    """Read `TENANT=WEIGHT`, with weights from 1 to HEAVIEST. Raises ValueError that says what is wrong."""
    weights: dict[str, int] = {}
    for entry in entries:
        name, is_given, weight = (part.strip() for part in entry.rpartition("="))
        if not is_given or not name:
            raise ValueError(f"{entry!r:.100} says not which weight; {_HOW}")
        if name in weights:
            raise ValueError(f"{name!r:.100} is there twice; give it one weight")
        if not _WEIGHT.fullmatch(weight) or int(weight) > HEAVIEST:
            raise ValueError(f"{entry!r:.100}: a weight is a whole number from 1 to {HEAVIEST}; {_HOW}")
        weights[name] = int(weight)
    return weights
