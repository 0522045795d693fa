"""Ask for jobs, and ask about them."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from holdfast.jobs import codec as json_codec
from holdfast.jobs.claim_check import followed
from holdfast.jobs.errors import ClientClosed, InvalidArguments, QueueFull, ResultTimeout
from holdfast.jobs.events import Events, JobEnqueued, JobsRefused
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Enqueued, Job, NewJob, Ring
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.ledger.records import JobMoment
from holdfast.ledger.steering import CancelAnswer
from holdfast.tasks import by_name, outbox, request
from holdfast.tasks.arguments import Call
from holdfast.tasks.handle import Handle
from holdfast.tasks.options import NO_OPTIONS, Options
from holdfast.tasks.payload import LARGEST_EVER_BYTES
from holdfast.tasks.registry import Registry
from holdfast.tasks.registry import registry as process_registry
from holdfast.tasks.result_codec import ResultCodec
from holdfast.tasks.spec import TaskSpec
from holdfast.tasks.waiting import pauses, result_text

if TYPE_CHECKING:
    from holdfast.tasks.kind import Task

T = TypeVar("T")
LEDGER_THREADS: Final = 4
FLUSH_SECONDS: Final = 0.5


class Bell(Protocol):
    """What a client needs of a doorbell."""

    def ring(self, rings: Sequence[Ring]) -> None:
        """Ring without waiting and without raising."""
        ...

    def close(self, timeout_seconds: float = ...) -> None:
        """Send what can be sent within the time."""
        ...


class Client:
    """The producer's side: writes jobs into the ledger, rings for them, reads how they are.

    Safe for threads and for any number of asyncio tasks. The ledger is
    synchronous; the async methods call it on a few threads of their own.
    """

    def __init__(
        self,
        ledger: Ledger,
        doorbell: Bell,
        *,
        events: Events | None = None,
        registry: Registry = process_registry,
        arguments_largest_bytes: int = json_codec.LARGEST_BYTES,
    ) -> None:
        """Use this ledger and doorbell; `close` closes the doorbell, the ledger stays its maker's."""
        self._arguments_largest_bytes = arguments_largest_bytes
        self._open_ledger = ledger
        self._is_closed = False
        self._doorbell = doorbell
        self._events = events or Events()
        self._registry = registry
        self._threads = ThreadPoolExecutor(LEDGER_THREADS, thread_name_prefix="holdfast-client")

    async def enqueue(
        self,
        task: "Task[..., T] | str",
        arguments: Call = (),
        options: Options = NO_OPTIONS,
    ) -> Handle[T]:
        """Write one job and ring.

        A task known only by its name is checked with the schema that live
        workers publish: names and outermost JSON types here, the rest by the
        worker. Raises UnknownTask, InvalidArguments, LedgerUnavailable, KeyBusy, QueueFull,
        NotUnique.
        """
        return (await self._enqueue(task, [arguments], options, is_batch=False))[0]

    async def enqueue_many(
        self,
        task: "Task[..., T] | str",
        calls: Sequence[Call],
        options: Options = NO_OPTIONS,
    ) -> list[Handle[T]]:
        """Write many jobs in one transaction, all or none, and ring.

        A `key` names the whole batch: when it is repeated, its n-th call gets the n-th job.
        """
        return await self._enqueue(task, calls, options, is_batch=True)

    def enqueue_sync(
        self,
        task: "Task[..., T] | str",
        arguments: Call = (),
        options: Options = NO_OPTIONS,
    ) -> Handle[T]:
        """Do the same as `enqueue` in synchronous code."""
        return self._enqueue_sync(task, [arguments], options, is_batch=False)[0]

    def enqueue_many_sync(
        self,
        task: "Task[..., T] | str",
        calls: Sequence[Call],
        options: Options = NO_OPTIONS,
    ) -> list[Handle[T]]:
        """Do the same as `enqueue_many` in synchronous code."""
        return self._enqueue_sync(task, calls, options, is_batch=True)

    async def submit(
        self, spec: TaskSpec, texts: Sequence[str], options: Options, *, is_batch: bool = False
    ) -> list[Handle[Any]]:
        """Write jobs whose arguments are checked JSON texts; `task.enqueue` ends here."""
        jobs = self._jobs(spec, texts, options, is_batch=is_batch)
        return self._handles(await self._write(jobs, options), spec.result)

    def submit_sync(
        self, spec: TaskSpec, texts: Sequence[str], options: Options, *, is_batch: bool = False
    ) -> list[Handle[Any]]:
        """Do the same in synchronous code."""
        jobs = self._jobs(spec, texts, options, is_batch=is_batch)
        return self._handles(self._write_sync(jobs, options), spec.result)

    async def result(
        self, job_id: str, timeout_seconds: float | None = None, *, codec: ResultCodec | None = None
    ) -> Any:  # noqa: ANN401 -- Handle[R] gives it its type
        """Wait for the end of a job and return its result.

        Raises ResultTimeout, JobQuarantined, JobCancelled, JobNotFound.
        """
        ends_at = _ends_at(timeout_seconds)
        for pause in pauses():
            job = await self.status(job_id)
            if job.state.is_final:
                return _loaded(job, codec)
            await asyncio.sleep(_within(pause, ends_at, job))
        raise AssertionError("unreachable: the pauses never end")

    def result_sync(
        self, job_id: str, timeout_seconds: float | None = None, *, codec: ResultCodec | None = None
    ) -> Any:  # noqa: ANN401 -- Handle[R] gives it its type
        """Do the same in synchronous code."""
        ends_at = _ends_at(timeout_seconds)
        never = threading.Event()
        for pause in pauses():
            job = self.status_sync(job_id)
            if job.state.is_final:
                return _loaded(job, codec)
            never.wait(_within(pause, ends_at, job))
        raise AssertionError("unreachable: the pauses never end")

    async def status(self, job_id: str) -> Job:
        """Return a job as it is now. Raises JobNotFound."""
        return await self._in_thread(lambda: self.status_sync(job_id))

    def status_sync(self, job_id: str) -> Job:
        """Do the same in synchronous code."""
        return self._ledger.job(JobId(job_id))

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[JobMoment]:
        """Follow a job's changes of state from after number `after` to its end. Raises JobNotFound."""
        asked = pauses()
        while True:
            # The job is read first: what happens between the two reads is then in the history.
            job = await self.status(job_id)
            moments = await self._in_thread(partial(self._ledger.history, job.id, after))
            for moment in moments:
                after = moment.seq
                yield moment
            if job.state.is_final:
                return
            if moments:
                asked = pauses()
            await asyncio.sleep(next(asked))

    async def cancel(self, job_id: str, reason: str = "") -> CancelAnswer:
        """Ask for a job's end: it is now cancelled, or its worker was asked, or it was final already."""
        return await self._in_thread(lambda: self.cancel_sync(job_id, reason))

    def cancel_sync(self, job_id: str, reason: str = "") -> CancelAnswer:
        """Do the same in synchronous code."""
        return self._ledger.cancel(JobId(job_id), reason)

    async def ring(self, job_ids: Sequence[str]) -> None:
        """Ring for jobs written on a bare Connection, after its commit; else the stager soon does."""
        await self._in_thread(lambda: self.ring_sync(job_ids))

    def ring_sync(self, job_ids: Sequence[str]) -> None:
        """Do the same in synchronous code."""
        found = self._ledger.find([JobId(job_id) for job_id in job_ids])
        self._doorbell.ring([_ring(job) for job in found.values() if job.state is JobState.AVAILABLE])

    def close(self) -> None:
        """Send the last rings, for half a second at most, and end the threads. Its use is over."""
        self._is_closed = True
        self._doorbell.close(FLUSH_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def _ledger(self) -> Ledger:
        if self._is_closed:
            raise ClientClosed
        return self._open_ledger

    async def _enqueue(
        self, task: "Task[..., T] | str", calls: Sequence[Call], options: Options, *, is_batch: bool
    ) -> list[Handle[T]]:
        if (spec := self._spec(task)) is not None:
            texts = [spec.signature.bind_call(call) for call in calls]
            return await self.submit(spec, texts, options, is_batch=is_batch)
        jobs = await self._in_thread(lambda: self._jobs_by_name(str(task), calls, options, is_batch=is_batch))
        return self._handles(await self._write(jobs, options), None)

    def _enqueue_sync(
        self, task: "Task[..., T] | str", calls: Sequence[Call], options: Options, *, is_batch: bool
    ) -> list[Handle[T]]:
        if (spec := self._spec(task)) is not None:
            texts = [spec.signature.bind_call(call) for call in calls]
            return self.submit_sync(spec, texts, options, is_batch=is_batch)
        jobs = self._jobs_by_name(str(task), calls, options, is_batch=is_batch)
        return self._handles(self._write_sync(jobs, options), None)

    async def _write(self, jobs: Sequence[NewJob], options: Options) -> list[Enqueued]:
        session = options.session
        if session is None:
            return await self._in_thread(lambda: self._write_sync(jobs, options))
        written = await outbox.write_async(
            session, lambda at: self._told(jobs, lambda: self._ledger.enqueue(jobs, connection=at))
        )
        outbox.after_commit(session, lambda: self._announce(jobs, written))
        return written

    def _write_sync(self, jobs: Sequence[NewJob], options: Options) -> list[Enqueued]:
        session = options.session
        if session is None:
            written = self._told(jobs, lambda: self._ledger.enqueue(jobs))
            self._announce(jobs, written)
            return written
        written = outbox.write(
            session, lambda at: self._told(jobs, lambda: self._ledger.enqueue(jobs, connection=at))
        )
        outbox.after_commit(session, lambda: self._announce(jobs, written))
        return written

    def _told(self, jobs: Sequence[NewJob], write: Callable[[], list[Enqueued]]) -> list[Enqueued]:
        """Write, and tell of a refusal before it is raised."""
        try:
            return write()
        except QueueFull as full:
            self._events.emit(
                JobsRefused(
                    task=jobs[0].task,
                    queue=full.queue,
                    job_class=full.job_class,
                    asked=full.asked,
                    limit=full.limit,
                    retry_after_seconds=full.retry_after_seconds or 0.0,
                )
            )
            raise

    def _announce(self, jobs: Sequence[NewJob], written: Sequence[Enqueued]) -> None:
        pairs = list(zip(jobs, written, strict=True))
        self._doorbell.ring(
            [_ring(job) for job, row in pairs if row.created and row.state is JobState.AVAILABLE]
        )
        for job, row in pairs:
            self._events.emit(JobEnqueued(row.job_id, job.task, job.queue, created=row.created))

    def _spec(self, task: "Task[..., Any] | str") -> TaskSpec | None:
        known = self._registry.get(task) if isinstance(task, str) else task
        return known.spec if known is not None else None

    def _jobs(
        self, spec: TaskSpec, texts: Sequence[str], options: Options, *, is_batch: bool
    ) -> list[NewJob]:
        limit = self._arguments_largest_bytes
        return request.of_task(spec, texts, options, largest_bytes=limit, is_batch=is_batch)

    def _jobs_by_name(
        self, task: str, calls: Sequence[Call], options: Options, *, is_batch: bool
    ) -> list[NewJob]:
        offer = by_name.choose_offer(self._ledger.offers(), task)
        texts = [by_name.bind_by_schema(offer, _named(task, call)) for call in calls]
        limit = self._arguments_largest_bytes
        return request.of_offer(offer, texts, options, largest_bytes=limit, is_batch=is_batch)

    def _handles(self, written: Sequence[Enqueued], codec: ResultCodec | None) -> list[Handle[Any]]:
        return [Handle(self, enqueued, codec) for enqueued in written]

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._is_closed:
            raise ClientClosed
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _named(task: str, call: Call) -> Mapping[str, object]:
    if isinstance(call, Mapping):
        return call
    if call:
        raise InvalidArguments(
            detail=f"{task} is known only by its name, so its arguments need theirs", hint="Pass a dict."
        )
    return {}


def _ring(job: NewJob | Job) -> Ring:
    return Ring(job.id, job.task, job.queue, job.priority)


def _loaded(job: Job, codec: ResultCodec | None) -> object:
    text = result_text(job)
    return (
        codec.load(text)
        if codec is not None
        else json_codec.decode(followed(text, what="the result"), largest_bytes=LARGEST_EVER_BYTES)
    )


def _ends_at(timeout_seconds: float | None) -> float | None:
    return None if timeout_seconds is None else time.monotonic() + timeout_seconds


def _within(pause: float, ends_at: float | None, job: Job) -> float:
    """Return how long to pause, not past the end. Raises ResultTimeout at the end."""
    if ends_at is None:
        return pause
    left = ends_at - time.monotonic()
    if left <= 0:
        raise ResultTimeout(job_id=job.id, detail=f"it is {job.state}")
    return min(pause, left)
