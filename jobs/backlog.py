"""How many jobs may wait in a queue before new ones are refused, the less important ones first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.job import LOWEST_PRIORITY
from holdfast.jobs.queues import QUEUE_RULE, is_queue

EVERY_QUEUE: Final = "*"
LARGEST_LIMIT: Final = 10_000_000
_HOW: Final = "write QUEUE=N or QUEUE=URGENT/NORMAL/BULK, as in `default=10000, mail=5000/2000/500, *=100000`"


@dataclass(frozen=True, slots=True)
class JobClass:
    """Jobs that are refused together."""

    name: str
    last_priority: int
    """The least important priority that belongs to it: 0 is first and 9 is last."""


CLASSES: Final = (JobClass("urgent", 3), JobClass("normal", 6), JobClass("bulk", LOWEST_PRIORITY))


def class_of(priority: int) -> JobClass:
    """Return the class of a priority."""
    return next(one for one in CLASSES if priority <= one.last_priority)


@dataclass(frozen=True, slots=True)
class BacklogLimit:
    """Of one queue: a class is full when so many jobs of its own or a more important class wait.

    So a thousand waiting bulk jobs keep no urgent one out, and urgent ones keep out the bulk.
    """

    urgent: int
    normal: int
    bulk: int

    def __str__(self) -> str:
        """Write it as the settings take it."""
        is_one = self.urgent == self.normal == self.bulk
        return f"{self.urgent}" if is_one else f"{self.urgent}/{self.normal}/{self.bulk}"

    def of(self, job_class: JobClass) -> int:
        """Return the limit of a class."""
        limits = {"urgent": self.urgent, "normal": self.normal, "bulk": self.bulk}
        return limits[job_class.name]


def limits_of(entries: Sequence[str]) -> dict[str, BacklogLimit]:
    """Read `QUEUE=N` and `QUEUE=URGENT/NORMAL/BULK`. Raises ValueError that says what is wrong with which."""
    limits: dict[str, BacklogLimit] = {}
    for entry in entries:
        name, is_given, numbers = (part.strip() for part in entry.partition("="))
        if not is_given:
            raise ValueError(f"{entry!r} has no limit; {_HOW}")
        if name != EVERY_QUEUE and not is_queue(name):
            raise ValueError(f"{name!r} is no queue ({QUEUE_RULE}), nor `{EVERY_QUEUE}` for all others")
        if name in limits:
            raise ValueError(f"{name!r} has two limits; give it one")
        limits[name] = _limit(entry, numbers)
    return limits


def limit_of(limits: Mapping[str, BacklogLimit], queue: str) -> BacklogLimit | None:
    """Return the limit of a queue; None: it has none."""
    return limits.get(queue) or limits.get(EVERY_QUEUE)


def _limit(entry: str, text: str) -> BacklogLimit:
    parts = [part.strip() for part in text.split("/")]
    if not all(part.isascii() and part.isdigit() for part in parts) or len(parts) not in {1, len(CLASSES)}:
        raise ValueError(f"{entry!r} is no limit; {_HOW}")
    urgent, normal, bulk = (int(part) for part in (parts if len(parts) > 1 else parts * len(CLASSES)))
    if not 1 <= bulk <= normal <= urgent <= LARGEST_LIMIT:
        raise ValueError(
            f"{entry!r}: limits are from 1 to {LARGEST_LIMIT}, and no class's is above a more important one's"
        )
    return BacklogLimit(urgent, normal, bulk)
