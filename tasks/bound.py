"""Enqueue one kind of job with given options; typed by the handler's own parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidOption
from holdfast.tasks.ambient import current_client
from holdfast.tasks.arguments import Call
from holdfast.tasks.client import Client
from holdfast.tasks.handle import Handle
from holdfast.tasks.options import NO_OPTIONS, Options
from holdfast.tasks.payload import LARGEST_EVER_BYTES
from holdfast.tasks.registry import registry
from holdfast.tasks.spec import TaskSpec

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
CHAIN: Final = "holdfast.chain"
"""The task that runs a chain; see `chain_task.py`."""
_HERE: Final = ("queue", "priority", "soft_timeout_seconds", "hard_timeout_seconds")
"""Options that belong to a link; what else the first one has belongs to the whole chain."""


class BoundTask(Generic[P, R]):
    """A task with options. Made by `task.options(...)`; may be kept and used many times."""

    def __init__(self, spec: TaskSpec, options: Options = NO_OPTIONS, client: Client | None = None) -> None:
        """Join a task and options; without a client the connected one is used."""
        self.spec = spec
        self._options = options
        self._client = client

    @property
    def given(self) -> Options:
        """What was said about its jobs."""
        return self._options

    def using(self, client: Client) -> "BoundTask[P, R]":
        """Return the same task and options with another client."""
        return BoundTask(self.spec, self._options, client)

    @property
    def connected(self) -> Client:
        """The client that its jobs are written with."""
        return self._client or current_client()

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Write a job and ring. When this returns, the job will not be lost.

        Raises InvalidArguments (nothing was written), LedgerUnavailable (try
        again; with a `key` that is always safe), KeyBusy, QueueFull, NotUnique.
        A cancelled wait does not undo the write.
        """
        text = self.spec.signature.bind(*args, **kwargs)
        return (await self.connected.submit(self.spec, [text], self._options))[0]

    def enqueue_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Do the same in synchronous code; on an event loop it would block for the database."""
        text = self.spec.signature.bind(*args, **kwargs)
        return self.connected.submit_sync(self.spec, [text], self._options)[0]

    async def enqueue_many(self, calls: Sequence[Call]) -> list[Handle[R]]:
        """Write many jobs in one transaction: all or none. Handles come in the order of the calls.

        With a `key` the batch can be repeated: its n-th call gets the n-th job of the first time.
        """
        return await self.connected.submit(self.spec, self._bind_all(calls), self._options, is_batch=True)

    def enqueue_many_sync(self, calls: Sequence[Call]) -> list[Handle[R]]:
        """Do the same in synchronous code."""
        return self.connected.submit_sync(self.spec, self._bind_all(calls), self._options, is_batch=True)

    def then(self, task: "BoundTask[Concatenate[R, ...], S]", /, **arguments: object) -> "Chain[P, S]":
        """Return a chain: this, and then `task` with its result as first argument.

        `arguments` are the others of `task`. Nothing is written before the chain is enqueued.
        """
        return Chain(self, (link_of(task, arguments),), task)

    def _bind_all(self, calls: Sequence[Call]) -> list[str]:
        if self._options.job_id is not None:
            raise InvalidOption(
                detail="a job id names one job, and enqueue_many writes many",
                hint="Name the batch with a key, or enqueue each with its own id.",
            )
        return [self.spec.signature.bind_call(call) for call in calls]


class Chain(Generic[P, R]):
    """Tasks one after the other, each with the result of the one before. Made by `task.then(...)`.

    One job that waits for its links as for children: cancel, deadline, tenant and
    retention are those of children, and its result is that of the last link. A
    link that ends without a result ends the chain with ChildFailed.
    """

    def __init__(
        self, first: BoundTask[P, Any], links: tuple[dict[str, object], ...], last: BoundTask[..., R]
    ) -> None:
        """Join them; `task.then(...)` is the usual way."""
        self._first = first
        self._links = links
        self._last = last

    def then(self, task: "BoundTask[Concatenate[R, ...], S]", /, **arguments: object) -> "Chain[P, S]":
        """Return this chain with one more link, as `BoundTask.then` does."""
        return Chain(self._first, (*self._links, link_of(task, arguments)), task)

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Write the chain as one job, with the first task's arguments; raises what its `enqueue` raises."""
        text, options = self._request(*args, **kwargs)
        client = self._first.connected
        (handle,) = await client.submit(registry.require(CHAIN).spec, [text], options)
        return handle.typed(self._last.spec.result)

    def enqueue_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Do the same in synchronous code."""
        text, options = self._request(*args, **kwargs)
        client = self._first.connected
        (handle,) = client.submit_sync(registry.require(CHAIN).spec, [text], options)
        return handle.typed(self._last.spec.result)

    def _request(self, *args: Any, **kwargs: Any) -> tuple[str, Options]:  # noqa: ANN401 -- checked by the first task
        spec, given = self._first.spec, self._first.given
        first = _link(spec, given, _plain(spec.signature.bind(*args, **kwargs)))
        text = registry.require(CHAIN).spec.signature.bind([first, *self._links])
        rest = replace(
            given,
            queue=given.queue or spec.queue,
            soft_timeout_seconds=None,
            hard_timeout_seconds=None,
        )
        return text, rest


def link_of(task: BoundTask[..., Any], arguments: Mapping[str, object]) -> dict[str, object]:
    """Describe a link that is not the first. Raises InvalidArguments, InvalidOption."""
    names = ("key", "job_id", "session", "tenant", "deadline_at", "deadline_seconds", "run_at", "unique")
    for name in names:
        if getattr(task.given, name) is not None:
            raise InvalidOption(
                detail=f"{name} is not for a link of a chain", hint="Give it to the first task of the chain."
            )
    text = task.spec.signature.bind_rest(arguments)
    return _link(task.spec, task.given, _plain(text))


def _link(spec: TaskSpec, options: Options, arguments: object) -> dict[str, object]:
    said = {name: getattr(options, name) for name in _HERE if getattr(options, name) is not None}
    return {"task": spec.name, "arguments": arguments, "options": said}


def _plain(text: str) -> codec.Json:
    return codec.decode(text, largest_bytes=LARGEST_EVER_BYTES)
