"""Who runs, on the shared page: a seat for each job, and which of them is on the loop now."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TypeVar

from holdfast.jobs.ids import LeaseToken
from holdfast.workers.companion.page import MOST_SEATS, NO_SEAT, Page

T = TypeVar("T")


class Seats:
    """Implements `workers.marks.Marks` over the shared page.

    A job beyond the last seat runs without a mark.
    """

    def __init__(self, page: Page) -> None:
        """Write on this page."""
        self._page = page
        self._free = deque(range(1, MOST_SEATS + 1))

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Mark also what handlers start as tasks of their own. On the loop's thread, before the first job."""
        self._page.loop_thread = threading.get_ident()
        loop.set_task_factory(self._make_task)

    def on_loop(self, token: LeaseToken, body: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Return the same coroutine, marked whenever one of its steps runs."""
        seat = self._take(token, thread=0)
        return _Marked(self._page, seat, self._seated(seat, body))

    def on_thread(self, token: LeaseToken, call: Callable[[], T]) -> Callable[[], T]:
        """Return the same call, marked while it runs."""

        def seated() -> T:
            seat = self._take(token, thread=threading.get_ident())
            try:
                return call()
            finally:
                self._leave(seat)

        return seated

    async def _seated(self, seat: "_Seat", body: Coroutine[Any, Any, T]) -> T:
        _SEAT.set(seat)
        try:
            return await body
        finally:
            self._leave(seat)

    def _take(self, token: LeaseToken, *, thread: int) -> "_Seat":
        try:
            number = self._free.popleft()
        except IndexError:
            return _Seat(NO_SEAT)
        self._page.take_seat(number, token, thread)
        return _Seat(number)

    def _leave(self, seat: "_Seat") -> None:
        number, seat.number = seat.number, NO_SEAT
        if number:
            self._page.leave_seat(number)
            self._free.append(number)

    def _make_task(self, loop: asyncio.AbstractEventLoop, body: Any, **options: Any) -> "asyncio.Task[Any]":
        seat = _SEAT.get()
        if seat is not None and seat.number and not isinstance(body, _Marked):
            body = _Marked(self._page, seat, body)
        return asyncio.Task(body, loop=loop, **options)


class _Seat:
    """Where a job sits; `NO_SEAT` once it has ended, for tasks that it left behind."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


_SEAT: Final[ContextVar[_Seat | None]] = ContextVar("holdfast_seat", default=None)


class _Marked(Coroutine[Any, Any, T]):
    """A coroutine whose seat is on the page while one of its steps runs."""

    __slots__ = ("_body", "_page", "_seat")

    def __init__(self, page: Page, seat: _Seat, body: Coroutine[Any, Any, T]) -> None:
        self._page = page
        self._seat = seat
        self._body = body

    def send(self, value: Any) -> Any:
        self._page.on_loop = self._seat.number
        try:
            return self._body.send(value)
        finally:
            self._page.on_loop = NO_SEAT

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        self._page.on_loop = self._seat.number
        try:
            # The three arguments are the older way to say it.
            return self._body.throw(kind) if value is None else self._body.throw(kind, value, traceback)
        finally:
            self._page.on_loop = NO_SEAT

    def close(self) -> None:
        self._body.close()

    def __await__(self) -> Any:
        return self._body.__await__()

    def __getattr__(self, name: str) -> Any:
        # Names, frames and code, for whoever shows tasks.
        return getattr(self._body, name)
