"""The tasks that this process knows, by name."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from holdfast.jobs.errors import InvalidSchedule, InvalidTask, UnknownTask
from holdfast.jobs.schedules.definition import Definition

if TYPE_CHECKING:
    from holdfast.tasks.kind import Task


class Registry:
    """Name to task. Two tasks of one name are a fault, found at import."""

    def __init__(self) -> None:
        """Start empty."""
        self._tasks: dict[str, Task[..., Any]] = {}

    def add(self, task: "Task[..., Any]") -> None:
        """Make a task known.

        The same source line may register again, as `importlib.reload` does;
        raises InvalidTask naming both places otherwise, InvalidSchedule for two schedules of one name.
        """
        known = self._tasks.get(task.name)
        if known is not None and known.place != task.place:
            raise InvalidTask(
                detail=f"the name {task.name!r} is used at {known.place} and at {task.place}",
                hint="Give one of them another name: @task(name=...).",
            )
        for other in self._tasks.values():
            shared = _names(other) & _names(task) if other.name != task.name else set[str]()
            if shared:
                raise InvalidSchedule(
                    detail=f"the name {min(shared)!r} is used at {other.place} and at {task.place}",
                    hint="Give one of the two schedules another name: Schedule(..., name=...).",
                )
        self._tasks[task.name] = task

    def schedules(self) -> list[Definition]:
        """Return the schedules of all tasks, by name."""
        found = [one for task in self._tasks.values() for one in task.spec.schedules]
        return sorted(found, key=lambda one: one.name)

    def get(self, name: str) -> "Task[..., Any] | None":
        """Return the task of this name, or None."""
        return self._tasks.get(name)

    def require(self, name: str) -> "Task[..., Any]":
        """Return the task of this name. Raises UnknownTask."""
        task = self._tasks.get(name)
        if task is None:
            raise UnknownTask(detail=repr(name))
        return task

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __iter__(self) -> "Iterator[Task[..., Any]]":
        return iter([self._tasks[name] for name in self.names()])

    def __len__(self) -> int:
        return len(self._tasks)


def _names(task: "Task[..., Any]") -> set[str]:
    return {one.name for one in task.spec.schedules}


registry: Final = Registry()
"""Where `@task` registers when it is not told otherwise."""
