"""What a worker is told, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.workers.limits import Limits


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Plain values; the composition root fills them from the settings."""

    name: str
    version: str
    host: str
    queues: tuple[str, ...]
    slots: int
    threads: int
    ring_window: int
    beat_seconds: float
    lease_seconds: float
    unsure_limit_seconds: float
    grace_seconds: float
    soft_timeout_seconds: float | None
    hard_timeout_seconds: float
    result_largest_bytes: int
    arguments_largest_bytes: int
    reconnect_longest_seconds: float
    spool_largest_bytes: int
    memory_limit_mb: float = 0.0
    """0: no limit."""
    tenant_weights: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many jobs a tenant starts in its turn where more waits than can run; 1 if it is not named."""

    @property
    def limits(self) -> Limits:
        """How long attempts may take, and how much they may return."""
        return Limits(
            self.soft_timeout_seconds,
            self.hard_timeout_seconds,
            self.result_largest_bytes,
            self.arguments_largest_bytes,
        )
