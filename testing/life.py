"""The life of one worker: after its end nothing of it goes on, as in a process that is gone.

What runs in a dead worker stands still where it is. Only where a handler has a
transaction open it is unwound instead, by Crashed: the database must hear that
the transaction is over, as it does from the connection of a dead process.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Generic, NoReturn, TypeVar, cast

from holdfast.testing.crash import Crashed, CrashPlan, CrashPoint

T = TypeVar("T")
current: Final[ContextVar["Life | None"]] = ContextVar("holdfast_testing_life", default=None)
"""The life of the worker whose handler runs here."""


def crash_now() -> NoReturn:
    """Let the worker die right here: for a stand-in of yours that a handler calls.

    Raises Crashed, so the handler is unwound; whatever it does on the way
    reaches the ledger no more. Raises RuntimeError outside of a handler.
    """
    life = current.get()
    if life is None:
        raise RuntimeError("crash_now() was called outside of a handler that the test kit runs")
    life.end()
    life.is_unwinding = True
    raise Crashed


class Life:
    """Ends at the points of a plan, for good."""

    def __init__(self, plan: CrashPlan) -> None:
        """Begin, on the running loop."""
        self.is_over = False
        self.is_unwinding = False
        """It ended while a transaction was open, or by Crashed: its handlers are unwound."""
        self.transactions = 0
        """How many handlers' transactions are open."""
        self.handlers: set[asyncio.Task[Any]] = set()
        """Those that run on the loop."""
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._is_buried = False
        self._frozen: list[asyncio.Future[None]] = []

    async def at(self, point: CrashPoint) -> None:
        """Pass a point, or stay there for ever. Raises Crashed where it must not stay."""
        if not self.is_over and self._plan.strikes(point):
            self.end()
        await self.survived()

    async def survived(self) -> None:
        """Go on, or stay here for ever if the worker is dead. Raises Crashed where it must not stay."""
        if self.is_unwinding:
            raise Crashed
        if self.is_over:
            await self.never()

    def at_sync(self, point: CrashPoint) -> None:
        """Pass a point where nothing can be awaited. Raises Crashed."""
        if not self.is_over and self._plan.strikes(point):
            self.end()
        if self.is_over:
            self.is_unwinding = True
            raise Crashed

    def dies_at_await(self) -> bool:
        """Count an await of a handler; True if the worker is dead there."""
        if not self.is_over and self._plan.strikes("at_await"):
            self.end()
        return self.is_over

    async def over(self) -> None:
        """Wait for the end."""
        await self._end.wait()

    def end(self) -> None:
        """Die; from any thread."""
        self.is_over = True
        self.is_unwinding = self.is_unwinding or self.transactions > 0
        self._loop.call_soon_threadsafe(self._end.set)

    def never(self) -> "asyncio.Future[None]":
        """Return what never comes, in a worker that is dead."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._frozen.append(future)
        if self._is_buried:
            future.cancel()
        return future

    def bury(self) -> None:
        """Cancel what stands still, so that nothing is left on the loop."""
        self._is_buried = True
        for future in self._frozen:
            future.cancel()


class Stepped(Generic[T]):
    """A handler's coroutine, each await of which is a point of its worker's life."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], life: Life) -> None:
        """Run this; nothing runs before it is awaited."""
        self._coroutine = coroutine
        self._life = life
        self._knows_of_the_end = False

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass on what the coroutine waits for, as `await` does."""
        coroutine = self._coroutine
        go_on: Callable[[], Any] = partial(coroutine.send, None)
        try:
            while True:
                try:
                    awaited = self._step(go_on)
                except StopIteration as end:
                    return cast("T", end.value)
                if self._must_stop():
                    go_on = yield from self._stop()
                    continue
                try:
                    go_on = partial(coroutine.send, (yield awaited))
                except BaseException as error:  # noqa: BLE001 -- a cancellation is the coroutine's to answer
                    go_on = partial(coroutine.throw, error)
                if self._life.is_over and not self._knows_of_the_end:
                    go_on = yield from self._stop()
        finally:
            # Of a dead worker's handler; it may want to wait once more, and there is nothing left to wait in.
            with contextlib.suppress(RuntimeError):
                coroutine.close()

    def _step(self, go_on: Callable[[], Any]) -> Any:
        was_over = self._life.is_over
        awaited = go_on()
        if self._life.is_over and not was_over:
            # It died in this very step, where Crashed was raised, or stands still there.
            self._knows_of_the_end = True
        return awaited

    def _must_stop(self) -> bool:
        return not self._knows_of_the_end and self._life.dies_at_await()

    def _stop(self) -> Generator[Any, Any, Callable[[], Any]]:
        if not self._life.is_unwinding:
            yield from self._life.never()
        self._knows_of_the_end = True
        return partial(self._coroutine.throw, Crashed())
