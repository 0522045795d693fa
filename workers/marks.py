"""Marks of who runs: left where another process can read them after ours is dead."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from holdfast.jobs.ids import LeaseToken

T = TypeVar("T")


class Marks(Protocol):
    """Wraps handlers so that it can be told which of them was running."""

    def on_loop(self, token: LeaseToken, body: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Return the same coroutine, marked whenever one of its steps runs."""
        ...

    def on_thread(self, token: LeaseToken, call: Callable[[], T]) -> Callable[[], T]:
        """Return the same call, marked while it runs."""
        ...


class NoMarks:
    """For a worker without a companion: nobody would read them."""

    def on_loop(self, token: LeaseToken, body: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Return it as it is."""
        del token
        return body

    def on_thread(self, token: LeaseToken, call: Callable[[], T]) -> Callable[[], T]:
        """Return it as it is."""
        del token
        return call
