"""What was asked for, as a test wants to see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from holdfast.jobs import codec
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import Job
from holdfast.tasks.payload import LARGEST_EVER_BYTES

CLOSE_SECONDS: Final = 0.01
"""The database counts milliseconds."""
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """A job as it was enqueued, whatever became of it since."""

    id: JobId
    task: str
    arguments: Mapping[str, Any]
    """As the ledger holds them: plain JSON, without the defaults of the handler."""
    queue: str
    priority: int
    delay_seconds: float
    """0 for a job that was due at once."""
    key: str | None
    tenant: str | None
    deadline_at: datetime | None
    enqueued_by: JobId | None
    """The job whose handler enqueued it."""

    @classmethod
    def of(cls, job: Job, *, enqueued_by: JobId | None) -> "EnqueuedJob":
        """Take it from a row that no worker has claimed yet."""
        arguments = codec.decode(job.arguments, largest_bytes=LARGEST_EVER_BYTES)
        return cls(
            id=job.id,
            task=job.task,
            arguments=cast("dict[str, Any]", arguments),
            queue=job.queue,
            priority=job.priority,
            delay_seconds=max(0.0, (job.run_at - job.created_at).total_seconds()),
            key=job.key,
            tenant=job.tenant,
            deadline_at=job.deadline_at,
            enqueued_by=enqueued_by,
        )

    def fits(self, task: str, arguments: Mapping[str, object] | None, expected: Mapping[str, object]) -> bool:
        """Tell whether it is of this task, with at least these arguments, and as expected otherwise."""
        wanted = cast("dict[str, object]", codec.plain(arguments or {}))
        return (
            self.task == task
            and all(self.arguments.get(name, _MISSING) == value for name, value in wanted.items())
            and all(_is_close(getattr(self, name), value) for name, value in expected.items())
        )

    def __str__(self) -> str:
        """Show what an assertion compares."""
        call = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        rest = f" in {self.delay_seconds:g} s" if self.delay_seconds else ""
        rest += f", key {self.key!r}" if self.key is not None else ""
        return f"{self.task}({call}) on {self.queue}{rest}"


def _is_close(real: object, wanted: object) -> bool:
    if isinstance(real, float) and isinstance(wanted, float | int):
        return abs(real - wanted) <= CLOSE_SECONDS
    return real == wanted
