"""What is known of a task: its handler, its types, its limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.jobs.job import Offer
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.arguments import Arguments
from holdfast.tasks.result_codec import ResultCodec


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One kind of job, as written by its author. Made by `@task`."""

    name: str
    handler: Callable[..., Any]
    is_async: bool
    """True for `async def`; a plain `def` runs on a thread."""
    takes_context: bool
    """True if the first parameter is the TaskContext."""
    version: str
    """Jobs run only on workers that offer the version they were enqueued with."""
    queue: str
    retry: RetryPolicy
    soft_timeout_seconds: float | None
    """The handler is cancelled after this; None leaves it to the settings."""
    hard_timeout_seconds: float | None
    """The attempt ends after this, whatever the handler does; None leaves it to the settings."""
    isolated: bool
    """True: each attempt has a process to itself, which can be killed."""
    memory_mb: int | None
    """The most memory (its data, in MB) of that process; None leaves it to the settings."""
    adopt: bool | None
    """Whether plain Celery producers may start it; None leaves it to the settings."""
    signature: Arguments
    result: ResultCodec
    doc: str
    """The first paragraph of the handler's docstring."""

    @property
    def cohort(self) -> int | None:
        """How many jobs of this task may share a process of their own; None: they run in the worker."""
        return 1 if self.isolated else None

    def offer(self) -> Offer:
        """Return what a worker publishes of this task."""
        schema = self.signature.schema()
        return Offer(self.name, self.version, self.queue, schema=schema, isolated=self.isolated)
