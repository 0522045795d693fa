"""What a worker is told, as plain values."""

from dataclasses import dataclass

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

    @property
    def limits(self) -> Limits:
        """How long attempts may take, and how much they may return."""
        return Limits(
            self.soft_timeout_seconds,
            self.hard_timeout_seconds,
            self.result_largest_bytes,
            self.arguments_largest_bytes,
        )
