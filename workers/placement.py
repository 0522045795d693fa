"""Where jobs run beside the event loop, as far as the gate has to know before it claims."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.job import Apart
from holdfast.tasks.registry import Registry
from holdfast.tasks.spec import TaskSpec

Wishes = Callable[[], list[tuple[Apart, int]]]


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
    wishes: Wishes = list
    """Returns what may be claimed now, and for how many jobs."""


NOTHING_THREADED: Final = Threaded()
NOTHING_ISOLATED: Final = Isolated()


def threaded_of(registry: Registry, threads: int) -> Threaded:
    """Return the tasks that run on a worker's threads."""
    return Threaded(_names(registry, lambda spec: not (spec.is_async or spec.isolated)), threads)


def isolated_of(registry: Registry, wishes: Wishes | None) -> Isolated:
    """Return the tasks that run in isolated processes; without `wishes` a worker has none."""
    if wishes is None:
        return NOTHING_ISOLATED
    return Isolated(_names(registry, lambda spec: spec.isolated), wishes)


def _names(registry: Registry, matches: Callable[[TaskSpec], bool]) -> frozenset[str]:
    return frozenset(task.name for task in registry if matches(task.spec))
