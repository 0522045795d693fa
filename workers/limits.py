"""How long an attempt may take, and how much it may return."""

from dataclasses import dataclass
from typing import Final

from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.concurrency import ConcurrencyLimit
from holdfast.jobs.job import DEFAULT_ATTEMPT_SECONDS, Job
from holdfast.tasks.registry import Registry
from holdfast.tasks.spec import TaskSpec


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an attempt may take where neither job nor task says it, and how large its result may be."""

    soft_seconds: float | None = None
    hard_seconds: float = DEFAULT_ATTEMPT_SECONDS
    result_largest_bytes: int = LARGEST_BYTES
    """Of a result's JSON, in UTF-8."""
    arguments_largest_bytes: int = LARGEST_BYTES
    """Of the arguments of a child."""

    def soft(self, job: Job, spec: TaskSpec) -> float | None:
        """Return when the handler is cancelled, None for never."""
        return job.soft_timeout_seconds or spec.soft_timeout_seconds or self.soft_seconds

    def hard(self, job: Job, spec: TaskSpec) -> float:
        """Return when the attempt ends: at its limit, or at the job's deadline if that is before.

        A `def` handler on a thread cannot be stopped: only its own limit is worth a process.
        """
        limit = job.hard_timeout_seconds or spec.hard_timeout_seconds or self.hard_seconds
        left = seconds_to_deadline(job)
        can_be_stopped = spec.is_async or spec.isolated
        return min(limit, left) if left is not None and can_be_stopped else limit


def seconds_to_deadline(job: Job) -> float | None:
    """Return how long an attempt that begins may take until the deadline, both by the database's clock."""
    if job.deadline_at is None or job.started_at is None:
        return None
    return max((job.deadline_at - job.started_at).total_seconds(), 0.0)


DEFAULT_LIMITS: Final = Limits()


def concurrency_of(registry: Registry) -> dict[str, ConcurrencyLimit]:
    """Return the limits of those tasks of which only so many jobs may run at once."""
    specs = [task.spec for task in registry]
    return {spec.name: limit for spec in specs if (limit := spec.concurrency) is not None}


def hard_limits_of(registry: Registry) -> dict[str, float]:
    """Return when the attempts of those tasks end that say it themselves."""
    specs = [task.spec for task in registry]
    return {spec.name: limit for spec in specs if (limit := spec.hard_timeout_seconds) is not None}
