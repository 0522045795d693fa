"""Where jobs run beside the event loop, as far as the gate has to know before it claims."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.job import Apart


@dataclass(frozen=True, slots=True)
class Threaded:
    """The tasks that run on threads, and how many threads they share."""

    tasks: frozenset[str] = frozenset()
    threads: int = 1

    def has(self, task: str) -> bool:
        """Tell whether a task is one of them."""
        return task in self.tasks


@dataclass(frozen=True, slots=True)
class Isolated:
    """The tasks that run in processes of their own, and what there is room for."""

    tasks: frozenset[str] = frozenset()
    wishes: Callable[[], list[tuple[Apart, int]]] = list
    """Returns what may be claimed now, and for how many jobs."""


NOTHING_THREADED: Final = Threaded()
NOTHING_ISOLATED: Final = Isolated()
