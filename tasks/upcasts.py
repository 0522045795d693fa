"""From the arguments of an older version of a task to those of the one that is here."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidArguments, InvalidTask

LONGEST_VERSION: Final = 255

Upcast = Callable[[dict[str, codec.Json]], Mapping[str, object]]
"""Takes the arguments of one version as plain JSON values, returns those of the next."""


@dataclass(frozen=True, slots=True)
class Upcasts:
    """The functions that lead, one after the other, from each older version to the task's own."""

    task: str
    version: str
    """The task's own version, where the chain ends."""
    steps: tuple[tuple[str, Upcast], ...] = ()
    """Each older version with the function that leads away from it; the oldest first."""

    @classmethod
    def of(cls, task: str, version: str, said: Mapping[str, Upcast] | None) -> Self:
        """Check what a task says: each function leads to the version written next, the last to its own.

        Versions that are all whole numbers must follow each other without a gap.
        Raises InvalidTask; a fault in the program, final.
        """
        found = cls(task, version, tuple((said or {}).items()))
        for one in found.chain:
            _check_name(task, one)
        for older, upcast in found.steps:
            if older == version:
                raise InvalidTask(
                    detail=f"{task}: upcasts leads away from {older!r}, the task's own version: a ring",
                    hint="Raise the task's version, or take that one out.",
                )
            _check_function(task, older, upcast)
        _check_order(task, found.chain)
        return found

    @property
    def chain(self) -> tuple[str, ...]:
        """Every version whose jobs the task can run, the oldest first, its own last."""
        return (*(older for older, _ in self.steps), self.version)

    def lift(self, version: str, arguments: dict[str, codec.Json]) -> dict[str, codec.Json]:
        """Return the arguments as the task's own version has them.

        A version that is not in the chain is left as it is: workers are given none, and a local run tries it.
        Raises InvalidArguments, from what a function raised; the same would happen again, do not retry.
        """
        chain = self.chain
        if version not in chain:
            return arguments
        for older, newer in pairwise(chain[chain.index(version) :]):
            arguments = self._step(older, newer, arguments)
        return arguments

    def _step(self, older: str, newer: str, arguments: dict[str, codec.Json]) -> dict[str, codec.Json]:
        where = f"{self.task}: the upcast from version {older} to {newer}"
        try:
            made = codec.plain(dict(self.steps)[older](arguments))
        except MemoryError:
            raise  # the worker's trouble, and no fault of the arguments
        except Exception as error:
            # Without the text: it may repeat a value. The traceback of the cause says more.
            raise InvalidArguments(detail=f"{where} raised {type(error).__qualname__}") from error
        if not isinstance(made, dict):
            raise InvalidArguments(
                detail=f"{where} returned {type(made).__qualname__}, and not the arguments by name",
                hint="Return a dict, also where you change the one that you got.",
            )
        return made


def _check_name(task: str, version: object) -> None:
    if not (isinstance(version, str) and version.isprintable() and 0 < len(version) <= LONGEST_VERSION):
        raise InvalidTask(
            detail=f"{task}: {version!r:.100} is no version: 1 to {LONGEST_VERSION} printable characters"
        )


def _check_function(task: str, version: str, upcast: object) -> None:
    if not callable(upcast) or inspect.iscoroutinefunction(upcast):
        raise InvalidTask(
            detail=f"{task}: the upcast from version {version} is no plain function",
            hint="Give a `def` that takes a dict and returns a dict; it must not wait for anything.",
        )


def _check_order(task: str, chain: tuple[str, ...]) -> None:
    """See that whole numbers go up by one. Other names (dates, say) come as they are written."""
    if not all(version.isascii() and version.isdecimal() for version in chain):
        return
    for older, newer in pairwise(chain):
        if int(newer) == int(older) + 1:
            continue
        hint = "Write the oldest first, up to the one before the task's own."
        if int(newer) > int(older):
            hint = f"Add {int(older) + 1}; one that no deploy ever had returns what it gets."
        raise InvalidTask(
            detail=f"{task}: upcasts goes from version {older} to {newer}, and each leads to the next number",
            hint=hint,
        )
