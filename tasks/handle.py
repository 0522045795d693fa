"""What a caller holds of a job."""

from collections.abc import AsyncIterator
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Enqueued, Job
from holdfast.jobs.state import JobState
from holdfast.ledger.records import JobMoment
from holdfast.ledger.steering import CancelAnswer
from holdfast.tasks.result_codec import ResultCodec

R = TypeVar("R")


class Asker(Protocol):
    """What a handle needs of the client that made it; `Client` says what each does."""

    async def result(
        self, job_id: str, timeout_seconds: float | None = None, *, codec: ResultCodec | None = None
    ) -> object:
        """Wait for the end and return the result."""
        ...

    def result_sync(
        self, job_id: str, timeout_seconds: float | None = None, *, codec: ResultCodec | None = None
    ) -> object:
        """Do the same in synchronous code."""
        ...

    async def status(self, job_id: str) -> Job:
        """Return the job as it is now."""
        ...

    def status_sync(self, job_id: str) -> Job:
        """Do the same in synchronous code."""
        ...

    def events(self, job_id: str, after: int = 0) -> AsyncIterator[JobMoment]:
        """Follow the changes of state."""
        ...

    async def cancel(self, job_id: str, reason: str = "") -> CancelAnswer:
        """Ask for the end."""
        ...

    def cancel_sync(self, job_id: str, reason: str = "") -> CancelAnswer:
        """Do the same in synchronous code."""
        ...


class Handle(Generic[R]):
    """One job: its id, and questions to the ledger. Holds nothing that could get stale."""

    __slots__ = ("_client", "_codec", "conflict", "created", "id")

    def __init__(self, client: Asker, enqueued: Enqueued, codec: ResultCodec | None) -> None:
        """Hold the job that was enqueued; without a codec its result is plain JSON."""
        self._client = client
        self._codec = codec
        self.id: Final[JobId] = enqueued.job_id
        self.created: Final = enqueued.created
        """False if the key was known, or another job holds the unique key: this is then that job."""
        self.conflict: Final = enqueued.conflict
        """What was done because another job held the unique key; `Enqueued.conflict` says what there is."""

    def typed(self, codec: ResultCodec) -> "Handle[Any]":
        """Return a handle on the same job that reads its result with another codec."""
        enqueued = Enqueued(self.id, self.created, JobState.AVAILABLE)
        return Handle(self._client, enqueued, codec)

    async def result(self, timeout_seconds: float | None = None) -> R:
        """Wait for the end and return the result; without a timeout for as long as it takes.

        Raises ResultTimeout (the job goes on; ask again), JobQuarantined with
        what failed, JobCancelled, or JobNotFound when it was pruned.
        """
        return cast("R", await self._client.result(self.id, timeout_seconds, codec=self._codec))

    def result_sync(self, timeout_seconds: float | None = None) -> R:
        """Do the same in synchronous code."""
        return cast("R", self._client.result_sync(self.id, timeout_seconds, codec=self._codec))

    def get(self, timeout: float | None = None) -> R:
        """Celery's name for `result_sync`; `timeout` in seconds."""
        return self.result_sync(timeout)

    async def status(self) -> Job:
        """Return the job as it is now."""
        return await self._client.status(self.id)

    def status_sync(self) -> Job:
        """Do the same in synchronous code."""
        return self._client.status_sync(self.id)

    def events(self, after: int = 0) -> AsyncIterator[JobMoment]:
        """Follow the job's changes of state, from after number `after`, to its end."""
        return self._client.events(self.id, after)

    async def cancel(self, reason: str = "") -> CancelAnswer:
        """Ask for its end: at once if it waits; if it runs, its handler is cancelled within seconds."""
        return await self._client.cancel(self.id, reason)

    def cancel_sync(self, reason: str = "") -> CancelAnswer:
        """Do the same in synchronous code."""
        return self._client.cancel_sync(self.id, reason)

    def __repr__(self) -> str:
        return f"<Handle {self.id}{'' if self.created else ' (known before)'}>"
