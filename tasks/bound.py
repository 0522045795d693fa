"""Enqueue one kind of job with given options; typed by the handler's own parameters."""

from collections.abc import Sequence
from typing import Generic, ParamSpec, TypeVar

from holdfast.jobs.errors import InvalidOption
from holdfast.tasks.ambient import current_client
from holdfast.tasks.arguments import Call
from holdfast.tasks.client import Client
from holdfast.tasks.handle import Handle
from holdfast.tasks.options import NO_OPTIONS, Options
from holdfast.tasks.spec import TaskSpec

P = ParamSpec("P")
R = TypeVar("R")


class BoundTask(Generic[P, R]):
    """A task with options. Made by `task.options(...)`; may be kept and used many times."""

    def __init__(self, spec: TaskSpec, options: Options = NO_OPTIONS, client: Client | None = None) -> None:
        """Join a task and options; without a client the connected one is used."""
        self.spec = spec
        self._options = options
        self._client = client

    def using(self, client: Client) -> "BoundTask[P, R]":
        """Return the same task and options with another client."""
        return BoundTask(self.spec, self._options, client)

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Write a job and ring. When this returns, the job will not be lost.

        Raises InvalidArguments (nothing was written), LedgerUnavailable (try
        again; with a `key` that is always safe), KeyBusy. A cancelled wait does
        not undo the write.
        """
        text = self.spec.signature.bind(*args, **kwargs)
        return (await self._with().submit(self.spec, [text], self._options))[0]

    def enqueue_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Do the same in synchronous code; on an event loop it would block for the database."""
        text = self.spec.signature.bind(*args, **kwargs)
        return self._with().submit_sync(self.spec, [text], self._options)[0]

    async def enqueue_many(self, calls: Sequence[Call]) -> list[Handle[R]]:
        """Write many jobs in one transaction: all or none. Handles come in the order of the calls."""
        return await self._with().submit(self.spec, self._bind_all(calls), self._options)

    def enqueue_many_sync(self, calls: Sequence[Call]) -> list[Handle[R]]:
        """Do the same in synchronous code."""
        return self._with().submit_sync(self.spec, self._bind_all(calls), self._options)

    def _with(self) -> Client:
        return self._client or current_client()

    def _bind_all(self, calls: Sequence[Call]) -> list[str]:
        if self._options.key is not None or self._options.job_id is not None:
            raise InvalidOption(
                detail="key and job id name one job, and enqueue_many writes many",
                hint="Enqueue each with its own key.",
            )
        return [self.spec.signature.bind_call(call) for call in calls]
