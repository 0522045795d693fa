"""Calls that may hang, on threads that nobody has to wait for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class OneAtATime(Generic[T]):
    """Runs a blocking function on a daemon thread, never twice at once.

    Who asks while a call is under way gets that call's answer. So a function that hangs costs
    one thread, however often it is asked, and keeps no program from ending.
    """

    def __init__(self, function: Callable[[], T], *, name: str) -> None:
        """Wrap the function; `name` names the thread."""
        self._function = function
        self._name = name
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None

    async def __call__(self) -> T:
        """Await the function's answer; what it raises is raised. To be cancelled ends the waiting only."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[T] = loop.create_future()
        answer = self._under_way()
        answer.add_done_callback(lambda _: _tell(loop, answer, mine))
        return await mine

    def wait(self, timeout_seconds: float) -> T:
        """Do the same without an event loop; raises TimeoutError."""
        return self._under_way().result(timeout_seconds)

    def _under_way(self) -> Future[T]:
        with self._lock:
            if self._answer is None:
                self._answer = Future[T]()
                self._answer.set_running_or_notify_cancel()
                threading.Thread(target=self._run, args=(self._answer,), name=self._name, daemon=True).start()
            return self._answer

    def _run(self, answer: Future[T]) -> None:
        outcome: T | None = None
        failure: BaseException | None = None
        try:
            outcome = self._function()
        except BaseException as error:  # noqa: BLE001 -- handed to whoever waits
            failure = error
        with self._lock:
            self._answer = None
        if failure is None:
            answer.set_result(cast("T", outcome))
        else:
            answer.set_exception(failure)


def _tell(loop: asyncio.AbstractEventLoop, answer: Future[T], waiting: "asyncio.Future[T]") -> None:
    with contextlib.suppress(RuntimeError):  # the waiter's loop may be closed by now
        loop.call_soon_threadsafe(_copy, answer, waiting)


def _copy(answer: Future[T], waiting: "asyncio.Future[T]") -> None:
    if waiting.done():  # its waiter went away
        return
    failure = answer.exception()
    if failure is None:
        waiting.set_result(answer.result())
    else:
        waiting.set_exception(failure)
