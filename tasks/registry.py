"""The tasks that this process knows, by name."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from holdfast.jobs.errors import InvalidTask, UnknownTask

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
        raises InvalidTask naming both places otherwise.
        """
        known = self._tasks.get(task.name)
        if known is not None and known.place != task.place:
            raise InvalidTask(
                detail=f"the name {task.name!r} is used at {known.place} and at {task.place}",
                hint="Give one of them another name: @task(name=...).",
            )
        self._tasks[task.name] = task

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


registry: Final = Registry()
"""Where `@task` registers when it is not told otherwise."""
