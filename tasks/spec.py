"""What is known of a task: its handler, its types, its limits."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from holdfast.jobs.concurrency import ConcurrencyLimit
from holdfast.jobs.job import Offer
from holdfast.jobs.schedules.definition import Definition
from holdfast.jobs.unique import Unique
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.arguments import Arguments
from holdfast.tasks.result_codec import ResultCodec
from holdfast.tasks.upcasts import Upcasts

UNIQUE_RULE: Final = "x-holdfast-unique"
"""Where a published schema of arguments holds the task's rule about jobs that count as the same."""
UPCAST_TO: Final = "x-holdfast-upcast-to"
"""Stands in the place of a schema where a worker runs jobs of an older version, and wants no new ones."""


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
    """Jobs run only on workers that offer the version they were enqueued with; "1" if nothing is said.

    Raise it when old jobs must not run on new code, and say in `upcasts` what makes them fit.
    """
    upcasts: Upcasts
    """How the arguments of older versions become those of this one; jobs of all these versions are run."""
    queue: str
    retry: RetryPolicy
    """When a failed attempt is followed by another: five attempts if nothing is said."""
    soft_timeout_seconds: float | None
    """The handler is cancelled after this; None leaves it to HOLDFAST_SOFT_TIMEOUT_SECONDS."""
    hard_timeout_seconds: float | None
    """The attempt ends after this, whatever the handler does; None: HOLDFAST_HARD_TIMEOUT_SECONDS."""
    isolated: bool
    """True: each attempt has a process to itself, for work that keeps the CPU, may crash its process, or
    must be killed at its hard limit whatever it does."""
    memory_mb: int | None
    """The most memory (its data, in MB) of that process, at least 256; None leaves it to the settings."""
    adopt: bool | None
    """Whether plain Celery producers may start it; None leaves it to the settings."""
    upstreams: tuple[str, ...]
    """What it calls, by name (a guard is its name): while one of them refuses calls, no attempt is started,
    and the job is parked."""
    concurrency: ConcurrencyLimit | None
    """How many of its jobs may run at once in the whole fleet: `concurrency=N`, with `per="tenant"` of each
    tenant, with the name of a parameter with each value of that argument. Who is too many is parked,
    without a slot, until its turn. None: as many as there are slots."""
    unique: Unique | None
    """Of its jobs that count as the same, only one may be there at a time; None: as many as are asked for."""
    signature: Arguments
    result: ResultCodec
    doc: str
    """The first paragraph of the handler's docstring."""
    schedules: tuple[Definition, ...] = ()
    """When jobs of it begin by themselves."""

    @property
    def cohort(self) -> int | None:
        """How many jobs of this task may share a process of their own; None: they run in the worker."""
        return 1 if self.isolated else None

    def offer(self) -> Offer:
        """Return what a worker publishes of this task."""
        schema = self.signature.schema()
        if self.unique is not None:
            # For those who enqueue by name; who looks for a schema passes over what it does not know.
            schema = json.dumps({**json.loads(schema), UNIQUE_RULE: self.unique.as_json()}, sort_keys=True)
        return Offer(self.name, self.version, self.queue, schema=schema, isolated=self.isolated)

    def offers(self) -> list[Offer]:
        """Return all that a worker publishes of this task: its own version, and those that it upcasts."""
        older = json.dumps({UPCAST_TO: self.version})
        return [
            self.offer(),
            *(
                Offer(self.name, version, self.queue, schema=older, isolated=self.isolated)
                for version, _ in self.upcasts.steps
            ),
        ]

    def load(self, version: str, text: str) -> dict[str, Any]:
        """Read a job's arguments, written for that version, in the handler's types.

        Raises InvalidArguments if an upcast fails, or the text does not fit the handler; do not retry.
        """
        return self.signature.load(text, partial(self.upcasts.lift, version))
