"""The client that the code under test enqueues with: the production one, without a broker behind it."""

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import NewJob, Ring
from holdfast.tasks.client import Client
from holdfast.tasks.options import Options
from holdfast.tasks.spec import TaskSpec
from holdfast.testing.worker import running_job

OnChild = Callable[[JobId, JobId], object]


class NoBell:
    """Rings for nobody: whoever runs the jobs looks into the ledger."""

    def ring(self, rings: Sequence[Ring]) -> None:
        """Ring for nobody."""

    def close(self, timeout_seconds: float = 0.0) -> None:
        """Close nothing."""


class WatchedClient(Client):
    """Remembers which job's handler enqueued a job; `on_child` gets the new job's id and that one's."""

    def __init__(self, *arguments: Any, on_child: OnChild, **options: Any) -> None:
        """Take the client's arguments."""
        super().__init__(*arguments, **options)
        self._on_child = on_child

    def _jobs(
        self, spec: TaskSpec, texts: Sequence[str], options: Options, *, is_batch: bool
    ) -> list[NewJob]:
        # Before they are written: the handler may die before it hears that they were.
        jobs = super()._jobs(spec, texts, options, is_batch=is_batch)
        parent = running_job.get()
        if parent is not None:
            for job in jobs:
                self._on_child(job.id, parent)
        return jobs
