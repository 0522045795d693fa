"""How much a worker does at once, and how it ends."""

from pydantic import BaseModel, Field


class WorkerFields(BaseModel):
    """Worker."""

    worker_slots: int = Field(
        default=1000, ge=1, le=20_000, description="Jobs that one worker process runs at the same time."
    )
    worker_threads: int = Field(
        default=32, ge=1, le=1000, description="Threads for `def` handlers in one worker process."
    )
    worker_isolated_processes: int = Field(
        default=4,
        ge=0,
        le=64,
        description="Processes of one worker for isolated tasks and for suspects; 0: those wait for others.",
    )
    worker_isolated_memory_mb: int | None = Field(
        default=None,
        ge=256,
        le=1_000_000,
        description="The most memory (data, in MB) of an isolated process whose task says nothing else.",
    )
    worker_ring_window: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Rings that a worker holds while they wait for a slot, and the largest batch of claims.",
    )
    shutdown_grace_seconds: float = Field(
        default=25.0,
        ge=0,
        le=86400,
        description="How long running jobs may end after SIGTERM; the rest is handed back.",
    )
    worker_companion: bool = Field(
        default=True,
        description="Beat from a process of its own, which no handler can starve; off for a debugger.",
    )
    loop_stall_limit_seconds: float = Field(
        default=120.0,
        ge=1,
        le=3600,
        description="How long the event loop may stand still before the worker counts as stuck.",
    )
    worker_memory_limit_mb: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Resident memory, in MB, beyond which a worker hands back and leaves; 0 for no limit.",
    )
