"""What a running handler knows and may do: its job, its progress, its transaction."""

import logging
import math
from collections.abc import AsyncGenerator, Callable, Generator, MutableMapping
from contextlib import AbstractAsyncContextManager as AsyncBlock
from contextlib import AbstractContextManager as Block
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from holdfast.jobs import codec
from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import InvalidOption, LeaseLost
from holdfast.jobs.failure import storable_text
from holdfast.jobs.job import Claim, Progress, Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.jobs.outcome import Completed
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, is_upstream
from holdfast.resilience.guard.guard import Guard
from holdfast.tasks.children import ChildrenPort, Planner
from holdfast.tasks.job_info import JobInfo
from holdfast.tasks.outbox import AsyncSession, Connection, Session
from holdfast.tasks.parent import Parent
from holdfast.tasks.result_codec import ResultCodec
from holdfast.tasks.spec import TaskSpec

LONGEST_PROGRESS_TEXT: Final = 500
_KEY_LENGTH: Final = 32
_log: Final = logging.getLogger("holdfast.task")


class ContextPort(ChildrenPort, Protocol):
    """What a context needs of the worker around it."""

    async def progress(self, lease: Lease, progress: Progress) -> None:
        """Write a report of progress. Raises LeaseLost: stop the handler."""
        ...

    def progress_sync(self, lease: Lease, progress: Progress) -> None:
        """Do the same for a handler on a thread."""
        ...

    def session(self, before_commit: Callable[[], object]) -> Block[Session]:
        """Open a session on the ledger's database; what `before_commit` raises prevents a commit."""
        ...

    def async_session(self, before_commit: Callable[[], object]) -> AsyncBlock[AsyncSession]:
        """Open an async session on the ledger's database, guarded likewise."""
        ...

    def check_lease_in(self, connection: Connection, lease: Lease) -> None:
        """Touch the job's row under its lease, inside a transaction. Raises LeaseLost."""
        ...

    def settle_in(self, connection: Connection, settlement: Settlement) -> Settled:
        """Write the end of the attempt inside a transaction."""
        ...

    def mark_settled(self, lease: Lease, settled: Settled) -> None:
        """Take note that the attempt is settled and committed: there is nothing left to write."""
        ...


class TaskContext(Parent):
    """The first parameter of a handler that is annotated with this class.

    Lives for one attempt. Whatever it writes is fenced: once the lease is lost
    it raises LeaseLost and changes nothing.
    """

    def __init__(
        self,
        job: JobInfo,
        lease: Lease,
        port: ContextPort,
        *,
        result: ResultCodec,
        clock: Clock,
        hard_timeout_seconds: float,
        result_largest_bytes: int = codec.LARGEST_BYTES,
        arguments_largest_bytes: int = codec.LARGEST_BYTES,
    ) -> None:
        """Begin the attempt now: the hard timeout counts from here."""
        self.result_largest_bytes: Final = result_largest_bytes
        """UTF-8 bytes of JSON that the result may have."""
        self.job: Final = job
        self.logger: Final = JobLogger(job)
        self._lease = lease
        self._port = port
        self._result = result
        self._clock = clock
        self._ends_at = clock.monotonic() + hard_timeout_seconds  # monotonic seconds
        self._open: dict[int, _Ending] = {}
        self._family = port
        self._planner = Planner(job, lease, clock, largest_bytes=arguments_largest_bytes)

    @classmethod
    def of(
        cls,
        claim: Claim,
        spec: TaskSpec,
        port: ContextPort,
        *,
        clock: Clock,
        hard_timeout_seconds: float,
        result_largest_bytes: int = codec.LARGEST_BYTES,
        arguments_largest_bytes: int = codec.LARGEST_BYTES,
    ) -> "TaskContext":
        """Make the context of a claimed job."""
        return cls(
            JobInfo.of(claim),
            claim.lease,
            port,
            result=spec.result,
            clock=clock,
            hard_timeout_seconds=hard_timeout_seconds,
            result_largest_bytes=result_largest_bytes,
            arguments_largest_bytes=arguments_largest_bytes,
        )

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.job.attempt

    @property
    def scheduled_for(self) -> datetime | None:
        """The tick of the schedule that the job is for, in UTC; None for all other jobs.

        The same in each attempt, however late it runs: compute "yesterday" from it and not from now.
        """
        return self.job.scheduled_for

    @property
    def deadline(self) -> datetime | None:
        """When the job has to have ended, all attempts and waits included; None: it may take its time."""
        return self.job.deadline_at

    def remaining_seconds(self) -> float:
        """Return the seconds left to the earlier of deadline and hard timeout; never negative."""
        left = self._ends_at - self._clock.monotonic()
        if self.job.deadline_at is not None:
            left = min(left, (self.job.deadline_at - self._clock.now()).total_seconds())
        return max(0.0, left)

    def idempotency_key(self, step: str = "") -> str:
        """Return a key for an outside receiver: the same over all attempts and requeues of this job.

        32 hexadecimal characters; another one for each `step` name.
        """
        return codec.digest(f"{self.job.id}\0{step}")[:_KEY_LENGTH]

    def guard(self, upstream: str) -> Guard:
        """Return the guard of an upstream: as this process declared it, else one with the default policy.

        The same object each time, in every job of the process, so breaker, retry
        budget and limits are shared. Raises InvalidOption for a name that cannot
        be an upstream's, and for one with several guards of different options.
        """
        if not is_upstream(upstream):
            raise InvalidOption(
                job_id=self.job.id,
                detail=f"an upstream's name must be 1 to {LONGEST_UPSTREAM} printable characters",
                hint='Name the upstream as its Guard and @task(upstreams=[...]) do: ctx.guard("search").',
            )
        try:
            return Guard.of(upstream)
        except ValueError as error:
            raise InvalidOption(
                job_id=self.job.id,
                detail=str(error),
                hint="Call through the guard that you mean instead of its name, or declare only one.",
            ) from error

    async def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell how far the job is; `text` is cut at 500 characters and readable by whoever sees the job."""
        await self._port.progress(self._lease, _progress(done, total, text))

    def progress_sync(self, done: float, total: float | None = None, text: str = "") -> None:
        """Do the same in a `def` handler."""
        self._port.progress_sync(self._lease, _progress(done, total, text))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Open a transaction on the ledger's database: what is written commits if the lease is still ours.

        The fence is checked by the last statement before COMMIT, so the job's
        row is locked for that moment only. LeaseLost rolls everything back.
        The block commits; `session.commit()` inside it raises InvalidOption,
        since it would pass the fence by.
        """
        ending = _Ending()
        async with self._port.async_session(ending.check) as session:
            self._open[id(session)] = ending
            try:
                yield session
                await session.flush()
                connection = await session.connection()
                await connection.run_sync(self._close_transaction, ending)
                await session.commit()
            except BaseException:
                await session.rollback()
                raise
            finally:
                del self._open[id(session)]
        self._note(ending)

    @contextmanager
    def transaction_sync(self) -> Generator[Session]:
        """Do the same in a `def` handler."""
        ending = _Ending()
        with self._port.session(ending.check) as session:
            self._open[id(session)] = ending
            try:
                yield session
                session.flush()
                self._close_transaction(session.connection(), ending)
                session.commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                del self._open[id(session)]
        self._note(ending)

    def complete(self, session: AsyncSession | Session, result: object = None) -> None:
        """Let the end of this transaction also complete the job, with this result.

        Writes and completion commit together or not at all; the completion is
        the last statement, whenever this is called inside the block. What the
        handler returns afterwards is ignored. Raises InvalidResult at once,
        and LeaseLost from the end of the block.
        """
        ending = self._open.get(id(session))
        if ending is None:
            raise InvalidOption(
                job_id=self.job.id,
                detail="complete() needs the session of an open transaction of this context",
                hint="async with ctx.transaction() as session: ...; ctx.complete(session, result)",
            )
        ending.result = self._result.encode(result, largest_bytes=self.result_largest_bytes)

    def _close_transaction(self, connection: Connection, ending: "_Ending") -> None:
        ending.may_commit = True
        if ending.result is None:
            self._port.check_lease_in(connection, self._lease)
            return
        ending.settled = self._port.settle_in(connection, Settlement(self._lease, Completed(ending.result)))
        if ending.settled.is_lost:
            raise LeaseLost(job_id=self.job.id)

    def _note(self, ending: "_Ending") -> None:
        if ending.settled is not None:
            self._port.mark_settled(self._lease, ending.settled)


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs with the job's id, task and attempt, and the caller's own `extra` beside them."""

    def __init__(self, job: JobInfo) -> None:
        """Bind the job's names."""
        super().__init__(_log, {"job_id": job.id, "task": job.task, "attempt": job.attempt})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:  # noqa: ANN401 -- its parent's signature
        """Join the job's names with what the caller passes as `extra`."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


@dataclass(slots=True)
class _Ending:
    """What is to happen, and happened, at the end of one transaction."""

    result: str | None = None
    settled: Settled | None = None
    may_commit: bool = False

    def check(self) -> None:
        """Refuse a commit of the handler's own."""
        if not self.may_commit:
            raise InvalidOption(
                detail="a transaction of the context commits at the end of its block, under the fence",
                hint="Leave the block instead of calling commit(); open another one for what comes after.",
            )


def _progress(done: float, total: float | None, text: str) -> Progress:
    if not math.isfinite(done) or (total is not None and not math.isfinite(total)):
        raise InvalidOption(detail=f"progress({done}, {total}) needs finite numbers")
    return Progress(done, total, storable_text(text)[:LONGEST_PROGRESS_TEXT])
