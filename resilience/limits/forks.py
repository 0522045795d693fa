"""What begins anew in a forked child: locks may be held, threads are not there, calls are the parent's."""

import os
from typing import Any, Final, Protocol
from weakref import WeakSet


class Forgets(Protocol):
    """Can begin anew."""

    def forget(self) -> None:
        """Begin anew in a forked child."""
        ...


def forget_at_fork(one: Forgets) -> None:
    """Let it forget in each child that is forked from here on, for as long as it lives."""
    _ALL.add(one)


def _forget_all() -> None:
    for one in list(_ALL):
        one.forget()


_ALL: Final[WeakSet[Any]] = WeakSet()

os.register_at_fork(after_in_child=_forget_all)
