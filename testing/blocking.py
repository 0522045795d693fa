"""Run a coroutine from synchronous code, whether or not a loop runs here."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run this to its end on a loop of its own; where a loop runs already, on a thread of its own, too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    answers: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            answers.append(_run(work))
        except BaseException as error:  # noqa: BLE001 -- it belongs to whoever waits
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(body,), name="holdfast-testing-loop")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # With a factory the runner leaves the thread's current loop alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work())
