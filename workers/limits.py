"""How long an attempt may take, and how much it may return."""

from dataclasses import dataclass
from typing import Final

from holdfast.jobs.codec import LARGEST_BYTES
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

    def soft(self, job: Job, spec: TaskSpec) -> float | None:
        """Return when the handler is cancelled, None for never."""
        return job.soft_timeout_seconds or spec.soft_timeout_seconds or self.soft_seconds

    def hard(self, job: Job, spec: TaskSpec) -> float:
        """Return when the attempt ends."""
        return job.hard_timeout_seconds or spec.hard_timeout_seconds or self.hard_seconds


DEFAULT_LIMITS: Final = Limits()


def hard_limits_of(registry: Registry) -> dict[str, float]:
    """Return when the attempts of those tasks end that say it themselves."""
    specs = [task.spec for task in registry]
    return {spec.name: limit for spec in specs if (limit := spec.hard_timeout_seconds) is not None}
