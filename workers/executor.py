"""One attempt, step by step: decode, start, run, judge, settle, announce.

The gate has admitted the job before; whatever happens here, the attempt ends
in exactly one settlement, one hand-back, or a lost lease.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from holdfast.jobs import outcome
from holdfast.jobs.clock import Clock, random_fraction
from holdfast.jobs.errors import AttemptTimeout, LeaseLost, LedgerError, UnknownTask
from holdfast.jobs.events import (
    Events,
    HandlerAbandoned,
    JobClaimed,
    JobHandedBack,
    JobParked,
    ServiceFailed,
)
from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Settled, Settlement
from holdfast.jobs.lease import Lease
from holdfast.jobs.outcome import Completed, Outcome, Park, Quarantine
from holdfast.jobs.signals import Signal
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.resilience.decision import decide, wait_out
from holdfast.tasks.context import ContextPort
from holdfast.tasks.registry import Registry
from holdfast.tasks.spec import TaskSpec
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.errands import Errands
from holdfast.workers.fitness import MOST_BELIEVED, MOST_GIVEN_BACK, is_want
from holdfast.workers.handlers import Abandoned, HandlerExit, Handlers
from holdfast.workers.limits import DEFAULT_LIMITS, Limits, seconds_to_deadline
from holdfast.workers.marks import Marks
from holdfast.workers.threads import DaemonThreads
from holdfast.workers.upstreams import NO_UPSTREAMS, Upstreams
from holdfast.workers.verdicts import (
    HandedBack,
    Lost,
    Verdict,
    as_written,
    at_deadline,
    lease_was_lost,
    settled_event,
    timed_out,
)

_LONGEST_ERROR: Final = 500
_LEAVING_SECONDS: Final = 10.0


class Watcher(Protocol):
    """Who is told, on the event loop, of an attempt's start and end: Celery's signals and worker events."""

    def started(self, attempt: RunningAttempt) -> None:
        """Tell that the handler is about to run."""
        ...

    def ended(
        self, attempt: RunningAttempt, result: Outcome | None, settled: Settled | None, seconds: float
    ) -> None:
        """Tell how it ended; `result` None is a hand-back, `settled` None a lost lease."""
        ...


class Writer(Protocol):
    """Where the ends of attempts are written."""

    async def settle(self, settlement: Settlement) -> Settled:
        """Write the end of an attempt. Waits through an outage of the ledger."""
        ...

    async def hand_back(self, lease: Lease, why: str) -> Settled:
        """Give a job back unfinished."""
        ...


class Isolation(Protocol):
    """Where jobs run that may be the death of their process."""

    async def run(self, attempt: RunningAttempt, *, hard_seconds: float, memory_mb: int | None) -> Verdict:
        """Run an attempt to its end. Raises Stopped: its process was killed because of it."""
        ...


@dataclass(frozen=True, slots=True)
class Aids:
    """What a worker may have beside its threads and its ledger, and can do without."""

    marks: Marks | None = None
    """None: nobody reads who ran when the process died."""
    isolation: Isolation | None = None
    """None: isolated tasks run in the worker itself."""
    upstreams: Upstreams = NO_UPSTREAMS


NO_AIDS: Final = Aids()


class Stopped(Exception):
    """The attempt's process was killed by this worker, because of this attempt."""


class Executor:
    """Runs attempts on the event loop; `def` handlers on threads."""

    def __init__(
        self,
        *,
        registry: Registry,
        writer: Writer,
        threads: DaemonThreads,
        port: ContextPort,
        events: Events,
        clock: Clock,
        watcher: Watcher,
        on_abandoned: Callable[[RunningAttempt, Coroutine[Any, Any, None]], object],
        on_want: Callable[[], object] = bool,
        limits: Limits = DEFAULT_LIMITS,
        aids: Aids = NO_AIDS,
    ) -> None:
        """Run with these collaborators.

        `on_abandoned` hears of handlers that outlive their hard limit, and gets
        the coroutine that waits for such a one and settles it late; `on_want` of
        attempts that found no descriptor or thread.
        """
        self._registry = registry
        self._writer = writer
        self._handlers = Handlers(threads=threads, port=port, clock=clock, limits=limits, marks=aids.marks)
        self._errands = Errands(aids.upstreams, threads=threads, events=events, clock=clock, limits=limits)
        self._events = events
        self._clock = clock
        self._watcher = watcher
        self._on_abandoned = on_abandoned
        self._on_want = on_want
        self._limits = limits
        self._isolation = aids.isolation

    async def run(self, attempt: RunningAttempt) -> None:
        """Carry one claimed attempt to its end."""
        self._announce_start(attempt)
        try:
            verdict = await self._judge(attempt)
        except Abandoned as abandoned:
            self._abandon(attempt, abandoned)
            return
        await self._end(attempt, verdict)

    async def give_up(self, attempt: RunningAttempt) -> None:
        """Settle an abandoned attempt as timed out, just before its process ends.

        The lease is let go while the handler may still run for the second or
        two that the process needs to end; so another attempt starts no sooner
        than ten seconds from now.
        """
        spec = self._spec(attempt)
        error = timed_out(attempt, self._limits.hard(attempt.claim.job, spec), None)
        verdict = self._decide_stopped(attempt, spec, error)
        if isinstance(verdict, outcome.Retry):
            verdict = replace(verdict, delay_seconds=max(verdict.delay_seconds, _LEAVING_SECONDS))
        await self._end(attempt, verdict)

    def _abandon(self, attempt: RunningAttempt, abandoned: Abandoned) -> None:
        job = attempt.claim.job
        attempt.is_abandoned = True
        limit = self._limits.hard(job, abandoned.spec)
        self._events.emit(
            HandlerAbandoned(job.id, job.task, job.queue, attempt=attempt.lease.attempt, limit_seconds=limit)
        )
        self._on_abandoned(attempt, self._end_late(attempt, abandoned))

    async def _end_late(self, attempt: RunningAttempt, abandoned: Abandoned) -> None:
        # The lease is still ours: what came late is a result like any other, and an error is the timeout.
        await asyncio.wait({abandoned.ending})
        if attempt.is_settling:
            return
        try:
            value = abandoned.ending.result()
        except BaseException as error:  # noqa: BLE001 -- as for a handler that ended in time
            verdict = self._judge_error(attempt, abandoned.spec, error)
        else:
            verdict = _judge_value(abandoned.spec, value, self._limits.result_largest_bytes)
        await self._end(attempt, verdict)

    async def _end(self, attempt: RunningAttempt, verdict: Verdict) -> None:
        attempt.is_settling = True
        await self._errands.give_back(attempt)
        try:
            settled = await self._write(attempt, verdict)
        except Exception as error:  # noqa: BLE001 -- an outcome that cannot be written would be due again for ever
            verdict = Quarantine(QuarantineReason.INVALID_RESULT, Failure.of(error))
            settled = await self._write(attempt, verdict)
        self._announce_end(attempt, as_written(verdict, settled), settled)

    async def _write(self, attempt: RunningAttempt, verdict: Verdict) -> Settled | None:
        try:
            return await self._settle(attempt, verdict)
        except LedgerError as error:
            # The row stays ours and running: the reconciliation finds that nobody holds it.
            self._events.emit(ServiceFailed(service="executor", error=str(error)[:_LONGEST_ERROR]))
            return None

    async def _judge(self, attempt: RunningAttempt) -> Verdict:
        job = attempt.claim.job
        try:
            spec = self._spec(attempt)
        except UnknownTask as error:
            return Quarantine(QuarantineReason.UNKNOWN_TASK, Failure.of(error))
        if (not_now := self._before_it_starts(attempt, spec)) is not None:
            return not_now
        if self._isolation is not None and (spec.isolated or job.cohort is not None):
            return await self._run_apart(self._isolation, attempt, spec)
        try:
            arguments = spec.load(job.version, job.arguments)
        except MemoryError as error:
            return self._starved(attempt) or self._judge_error(attempt, spec, error)
        except BaseException as error:  # noqa: BLE001 -- a type's own validator may raise anything, SystemExit too
            return Quarantine(QuarantineReason.INVALID_PAYLOAD, Failure.of(error))
        try:
            value = await self._handlers.run(attempt, spec, arguments, self._errands.begin(attempt, spec))
        except Abandoned:
            raise
        except BaseException as error:  # noqa: BLE001 -- the one place where every end of a handler is judged
            return self._judge_error(attempt, spec, error)
        if attempt.interrupted is Interrupt.LEASE_LOST:
            return Lost()
        return _judge_value(spec, value, self._limits.result_largest_bytes)

    def _before_it_starts(self, attempt: RunningAttempt, spec: TaskSpec) -> Outcome | None:
        job = attempt.claim.job
        if job.attempt > spec.retry.max_attempts:
            # Attempts that were taken back past their end are spent, and no decision counted them.
            return Quarantine(QuarantineReason.ATTEMPTS_EXHAUSTED, job.failure)
        refused = self._errands.refusal(attempt, spec)
        return None if refused is None else wait_out(job, refused, spec.retry, jitter=random_fraction())

    async def _run_apart(self, isolation: Isolation, attempt: RunningAttempt, spec: TaskSpec) -> Verdict:
        hard = self._limits.hard(attempt.claim.job, spec)
        try:
            return await isolation.run(attempt, hard_seconds=hard, memory_mb=spec.memory_mb)
        except Stopped:
            match attempt.interrupted:
                case Interrupt.LEASE_LOST:
                    return Lost()
                case Interrupt.CANCEL:
                    return outcome.Cancel(reason="cancelled while it ran")
                case Interrupt.DRAIN:
                    return HandedBack()
                case _:
                    return self._decide_stopped(attempt, spec, timed_out(attempt, hard, None))

    def _spec(self, attempt: RunningAttempt) -> TaskSpec:
        return self._registry.require(attempt.claim.job.task).spec

    def _judge_error(self, attempt: RunningAttempt, spec: TaskSpec, error: BaseException) -> Verdict:
        why = attempt.interrupted
        if why is Interrupt.LEASE_LOST or isinstance(error, LeaseLost):
            return Lost()
        if isinstance(error, HandlerExit) and error.__cause__ is not None:
            error = error.__cause__
        if why is None and is_want(error) and (starved := self._starved(attempt)) is not None:
            return starved
        # A thread cannot be interrupted: what its handler raised is the handler's own.
        is_own = not spec.is_async and not isinstance(error, asyncio.CancelledError)
        if why is not None and not is_own and not isinstance(error, Signal):
            if why is Interrupt.CANCEL:
                return outcome.Cancel(reason="cancelled while it ran")
            if why is Interrupt.DRAIN:
                return HandedBack()
            limit = self._limits.soft(attempt.claim.job, spec) or self._limits.hard(attempt.claim.job, spec)
            return self._decide_stopped(attempt, spec, timed_out(attempt, limit, error))
        try:
            return self._decide(attempt, spec, error)
        except Exception as fault:  # noqa: BLE001 -- its own text may be what fails
            failure = Failure(type=type(error).__qualname__, message=f"cannot be described: {fault!r}")
            return Quarantine(QuarantineReason.PERMANENT, failure)

    def _decide_stopped(self, attempt: RunningAttempt, spec: TaskSpec, error: AttemptTimeout) -> Outcome:
        """Judge an attempt that was stopped at a limit: the deadline's is the end of the whole job."""
        left = seconds_to_deadline(attempt.claim.job)
        if left is not None and self._clock.monotonic() - attempt.started_at >= left:
            return Quarantine(QuarantineReason.DEADLINE, Failure.of(at_deadline(attempt, error.__cause__)))
        return self._decide(attempt, spec, error)

    def _decide(self, attempt: RunningAttempt, spec: TaskSpec, error: BaseException) -> Outcome:
        if not isinstance(error, spec.retry.give_up_on):
            error = self._errands.outage(attempt, error) or error
        return decide(attempt.claim.job, error, spec.retry, now=self._clock.now(), jitter=random_fraction())

    def _starved(self, attempt: RunningAttempt) -> HandedBack | None:
        given_back = attempt.claim.job.claims - attempt.lease.attempt
        if given_back >= MOST_GIVEN_BACK:
            return None
        if given_back < MOST_BELIEVED:
            self._on_want()
        return HandedBack("starved")

    async def _settle(self, attempt: RunningAttempt, verdict: Verdict) -> Settled | None:
        lease = attempt.lease
        if attempt.settled is not None:
            return attempt.settled
        match verdict:
            case Lost():
                return None
            case HandedBack(why=why):
                settled = await asyncio.shield(self._writer.hand_back(lease, why))
            case _:
                settled = await asyncio.shield(self._writer.settle(Settlement(lease, verdict)))
        return None if settled.is_lost else settled

    def _announce_start(self, attempt: RunningAttempt) -> None:
        job, lease = attempt.claim.job, attempt.lease
        waited = (job.started_at - job.run_at).total_seconds() if job.started_at is not None else 0.0
        self._events.emit(
            JobClaimed(
                job_id=job.id,
                task=job.task,
                queue=job.queue,
                attempt=lease.attempt,
                fence=str(lease.fence),
                waited_seconds=max(waited, 0.0),
            )
        )
        self._watcher.started(attempt)

    def _announce_end(self, attempt: RunningAttempt, verdict: Verdict, settled: Settled | None) -> None:
        job = attempt.claim.job
        seconds = self._clock.monotonic() - attempt.started_at
        result = None if isinstance(verdict, (HandedBack, Lost)) else verdict
        why = verdict.why if isinstance(verdict, HandedBack) else ""
        if settled is None:
            if attempt.interrupted is not Interrupt.LEASE_LOST:
                self._events.emit(lease_was_lost(attempt, "settle"))
        elif result is None:
            self._events.emit(JobHandedBack(job_id=job.id, task=job.task, queue=job.queue, why=why))
        else:
            self._events.emit(settled_event(attempt, result, settled, seconds))
            if isinstance(result, Park) and settled.state is JobState.PARKED:
                self._events.emit(JobParked(job.id, job.task, job.queue, waiting_for=result.waiting_for))
        self._watcher.ended(attempt, result, settled, seconds)


def _judge_value(spec: TaskSpec, value: object, largest_bytes: int) -> Outcome:
    try:
        return Completed(spec.result.encode(value, largest_bytes=largest_bytes))
    except BaseException as error:  # noqa: BLE001 -- a result's own serializer may raise anything
        return Quarantine(QuarantineReason.INVALID_RESULT, Failure.of(error))
