"""Wait for something to become true, never for a stretch of time.

A test says what it waits for; how long it may take is only the point at which
the test gives up. When it gives up, the error names what did not happen.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.05


def until(predicate: Callable[[], T], *, timeout_seconds: float = 10.0, what: str = "") -> T:
    """Ask again until the answer is truthy, and return that answer.

    ``what`` completes the sentence "waited 10 s for ...". Raises AssertionError
    after ``timeout_seconds``; what the predicate itself raises passes through.
    """
    deadline = time.monotonic() + timeout_seconds
    for pause_seconds in _pauses():
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(_gave_up(what, timeout_seconds, answer))
        time.sleep(pause_seconds)  # noqa: TID251  polling is this module's purpose; tests call until()
    raise AssertionError("unreachable: the pauses never end")


async def until_async(
    predicate: Callable[[], Awaitable[T]], *, timeout_seconds: float = 10.0, what: str = ""
) -> T:
    """Do the same as ``until`` on a running event loop, with a predicate to await."""
    deadline = time.monotonic() + timeout_seconds
    for pause_seconds in _pauses():
        answer = await predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(_gave_up(what, timeout_seconds, answer))
        await asyncio.sleep(pause_seconds)
    raise AssertionError("unreachable: the pauses never end")


def _pauses() -> Iterator[float]:
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        yield pause_seconds
        pause_seconds = min(pause_seconds * 1.5, LONGEST_PAUSE_SECONDS)


def _gave_up(what: str, timeout_seconds: float, answer: object) -> str:
    return f"waited {timeout_seconds:g} s for {what or 'a condition'}; the last answer was {answer!r}"
