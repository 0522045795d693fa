"""A child: runs claimed jobs with the worker's own executor, and tells the worker how each ended.

The lease stays with the worker. What the handler does through its context is
fenced by the same token, so a child that outlives its lease changes nothing.
"""

import asyncio
import faulthandler
import os
import resource
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn, TypeVar

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import PlatformError
from holdfast.jobs.events import Event, Events
from holdfast.jobs.ids import LeaseToken
from holdfast.jobs.job import Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.jobs.outcome import Outcome
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.tasks.outbox import Connection
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.executor import Aids, Executor
from holdfast.workers.isolated import wire
from holdfast.workers.isolated.parts import Parts
from holdfast.workers.outcomes import outcome_as_json
from holdfast.workers.port import Calls, WorkerPort
from holdfast.workers.threads import DaemonThreads

T = TypeVar("T")
FAILED: Final = 70
"""The exit code of a child that could not serve; no job did that."""
THREADS: Final = 125
"""At least as many as a cohort has jobs."""
_BYTES_IN_MB: Final = 1_000_000


def run_child(app: Any, line: socket.socket, *, last_words: int, memory_mb: int | None) -> NoReturn:
    """Run what comes over the line until it is hung up, then end the process."""
    faulthandler.enable(file=last_words)
    if memory_mb is not None:
        # Data, not address space: libraries map far more than they use.
        limit = memory_mb * _BYTES_IN_MB
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    code = FAILED
    try:
        asyncio.run(_Child(app).serve(line))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


class _Child:
    def __init__(self, app: Any) -> None:
        self._app = app
        self._running: dict[LeaseToken, RunningAttempt] = {}
        self._executions: set[asyncio.Task[None]] = set()
        self._line: asyncio.StreamWriter | None = None

    async def serve(self, line: socket.socket) -> None:
        reader, self._line = await asyncio.open_unix_connection(sock=line)
        try:
            parts = Parts(self._app)
        except PlatformError as error:
            # The ledger cannot be reached from here: no job did that.
            self._say({"refused": str(error)})
            await self._line.drain()
            raise
        events, clock = Events(_Ignored()), SystemClock()
        writer = _LineWriter(parts.ledger, self._say)
        executor = Executor(
            registry=self._app.registry,
            writer=writer,
            threads=DaemonThreads(THREADS, name="holdfast-handler"),
            port=_ChildPort(
                parts.ledger, writer, find=lambda lease: self._running.get(lease.token), say=self._say
            ),
            events=events,
            clock=clock,
            watcher=_Ignored(),
            on_abandoned=self._on_abandoned,
            limits=parts.limits,
            aids=Aids(upstreams=parts.upstreams),
        )
        self._say({"ready": os.getpid()})
        while (message := await wire.read(reader)) is not None:
            if "run" in message:
                parts.callers = message["callers"]
                attempt = RunningAttempt(wire.claim_of_json(message["run"]), clock.monotonic())
                self._begin(executor, attempt)
            elif (running := self._running.get(message["interrupt"])) is not None:
                running.interrupt(Interrupt(message["why"]))
        parts.close()

    def _begin(self, executor: Executor, attempt: RunningAttempt) -> None:
        self._running[attempt.lease.token] = attempt
        execution = asyncio.get_running_loop().create_task(self._run(executor, attempt))
        self._executions.add(execution)
        execution.add_done_callback(self._executions.discard)

    async def _run(self, executor: Executor, attempt: RunningAttempt) -> None:
        token = attempt.lease.token
        try:
            await executor.run(attempt)
        finally:
            if self._running.pop(token, None) is not None and not attempt.is_abandoned:
                state = attempt.settled.state if attempt.settled is not None else None
                self._say({"ended": token, "settled": state})

    def _say(self, message: wire.Message) -> None:
        if self._line is not None:
            self._line.write(wire.frame(message))

    def _on_abandoned(self, attempt: RunningAttempt, end_late: Coroutine[Any, Any, None]) -> None:
        # The worker kills this process, which is what ends such a handler.
        end_late.close()
        self._say({"abandoned": attempt.lease.token})


class _ChildPort(WorkerPort):
    """Says when a handler's own transaction is about to end its job, and when it did."""

    def __init__(
        self,
        ledger: Ledger,
        writer: Calls,
        *,
        find: Callable[[Lease], RunningAttempt | None],
        say: Callable[[wire.Message], None],
    ) -> None:
        super().__init__(ledger, writer, find=find)
        self._say = say
        self._loop = asyncio.get_running_loop()

    def settle_in(self, connection: Connection, settlement: Settlement) -> Settled:
        # A `def` handler is on a thread of its own.
        self._loop.call_soon_threadsafe(self._say, {"completing": settlement.lease.token})
        return super().settle_in(connection, settlement)

    def mark_settled(self, lease: Lease, settled: Settled) -> None:
        super().mark_settled(lease, settled)
        self._loop.call_soon_threadsafe(self._say, {"completed": lease.token, "settled": settled.state})


class _LineWriter:
    """Stands where the worker's writer is: outcomes go to the worker, which settles them."""

    def __init__(self, ledger: Ledger, say: Callable[[wire.Message], None]) -> None:
        self._ledger = ledger
        self._say = say

    async def settle(self, settlement: Settlement) -> Settled:
        self._say({"outcome": settlement.lease.token, "is": outcome_as_json(settlement.outcome)})
        return Settled(settlement.lease, JobState.RUNNING)

    async def hand_back(self, lease: Lease, why: str) -> Settled:
        self._say({"handed_back": lease.token, "why": why})
        return Settled(lease, JobState.RUNNING)

    async def call(self, verb: Callable[[Ledger], T]) -> T:
        return await asyncio.to_thread(verb, self._ledger)


class _Ignored:
    """For events and signals: the worker tells them, once."""

    def __call__(self, event: Event) -> None:
        del event

    def started(self, attempt: RunningAttempt) -> None:
        del attempt

    def ended(
        self, attempt: RunningAttempt, result: Outcome | None, settled: Settled | None, seconds: float
    ) -> None:
        del attempt, result, settled, seconds
