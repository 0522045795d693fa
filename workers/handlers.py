"""Runs handlers: coroutines on the event loop, functions on threads, each within its limits."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from holdfast.jobs.clock import Clock
from holdfast.resilience.errand import Errand, errand
from holdfast.tasks.context import ContextPort, TaskContext
from holdfast.tasks.spec import TaskSpec
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.limits import Limits
from holdfast.workers.marks import Marks, NoMarks
from holdfast.workers.threads import DaemonThreads


class HandlerExit(Exception):
    """The handler called sys.exit() or raised KeyboardInterrupt, which would end the event loop."""


class Abandoned(Exception):
    """The handler did not end at its hard limit."""

    def __init__(self, spec: TaskSpec, ending: "asyncio.Future[object]") -> None:
        """Carry what is needed when it ends after all."""
        super().__init__()
        self.spec = spec
        self.ending = ending


class Handlers:
    """Starts handlers and stops them at their limits. On the event loop."""

    def __init__(
        self, *, threads: DaemonThreads, port: ContextPort, clock: Clock, limits: Limits, marks: Marks | None
    ) -> None:
        """Run `def` handlers on these threads; `port` is the way from a handler's context to the ledger."""
        self._threads = threads
        self._port = port
        self._clock = clock
        self._limits = limits
        self._marks = marks or NoMarks()

    async def run(
        self, attempt: RunningAttempt, spec: TaskSpec, arguments: dict[str, Any], on: Errand
    ) -> object:
        """Run a handler to its end, on this errand, and return what it returned.

        Raises what it raised, HandlerExit for an exit, Abandoned when it did not end at its hard limit.
        """
        hard = self._limits.hard(attempt.claim.job, spec)
        context = TaskContext.of(
            attempt.claim,
            spec,
            self._port,
            clock=self._clock,
            hard_timeout_seconds=hard,
            result_largest_bytes=self._limits.result_largest_bytes,
            arguments_largest_bytes=self._limits.arguments_largest_bytes,
        )
        call = (
            partial(spec.handler, context, **arguments)
            if spec.takes_context
            else partial(spec.handler, **arguments)
        )
        with errand(on):
            # Both take the context with them as it is now.
            ending = self._on_loop(attempt, call) if spec.is_async else self._on_thread(attempt, call)
        soft = self._limits.soft(attempt.claim.job, spec)
        if soft is not None and soft < hard:
            await asyncio.wait({ending}, timeout=soft)
            if not ending.done():
                attempt.interrupt(Interrupt.SOFT_TIMEOUT)
            hard -= soft
        await asyncio.wait({ending}, timeout=hard)
        if not ending.done():
            await self._cut_off(attempt, spec, ending)
        return ending.result()

    async def _cut_off(
        self, attempt: RunningAttempt, spec: TaskSpec, ending: "asyncio.Future[object]"
    ) -> None:
        # The hard limit: one last cancel for a coroutine that had no soft limit, then it is abandoned.
        attempt.interrupt(Interrupt.SOFT_TIMEOUT)
        await asyncio.wait({ending}, timeout=1.0)
        if not ending.done():
            raise Abandoned(spec, ending)

    def _on_loop(
        self, attempt: RunningAttempt, call: Callable[[], Awaitable[object]]
    ) -> "asyncio.Future[object]":
        async def body() -> object:
            try:
                return await call()
            except (SystemExit, KeyboardInterrupt) as error:
                raise HandlerExit(repr(error)) from error

        marked = self._marks.on_loop(attempt.lease.token, body())
        inner = asyncio.get_running_loop().create_task(marked, name=attempt.lease.job_id)
        attempt.watch(inner.cancel)
        return inner

    def _on_thread(self, attempt: RunningAttempt, call: Callable[[], object]) -> "asyncio.Future[object]":
        def body() -> object:
            try:
                return context.run(call)
            except (SystemExit, KeyboardInterrupt) as error:
                raise HandlerExit(repr(error)) from error
            except StopIteration as error:
                # A coroutine does the same by itself; before 3.11.7 asyncio's future refuses it, never ends.
                raise RuntimeError("the handler raised StopIteration") from error

        context = contextvars.copy_context()
        inner = self._threads.submit(self._marks.on_thread(attempt.lease.token, body))
        # Ends only a call that has not begun: a running thread cannot be cancelled, it is fenced out.
        attempt.watch(inner.cancel)
        return asyncio.wrap_future(inner)
