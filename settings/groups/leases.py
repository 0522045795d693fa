"""When a worker counts as dead."""

from pathlib import Path

from pydantic import BaseModel, Field


class LeaseFields(BaseModel):
    """Lease and maintenance."""

    beat_seconds: float = Field(
        default=5.0, ge=0.1, le=60, description="Pause between two heartbeats of a worker."
    )
    lease_seconds: float = Field(
        default=20.0,
        ge=0.5,
        le=600,
        description="A worker whose heartbeat has not changed for so long is dead.",
    )
    unsure_limit_seconds: float = Field(
        default=600.0,
        ge=1,
        le=86400,
        description="How long a worker that cannot reach the database keeps its jobs.",
    )
    spool_dir: Path | None = Field(
        default=None,
        description="Folder where outcomes wait on disk while the database is away: results in clear, "
        "never arguments. A worker that comes back on the same machine settles what a dead one left there. "
        "Unset: `spool` in the data folder.",
    )
    spool_largest_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        le=1024**4,
        description="Most bytes of outcomes that one worker process keeps on disk; 0: none, they wait in "
        "memory and die with the process.",
    )
    sweep_seconds: float = Field(
        default=1.0, ge=0.05, le=60, description="Pause between two rounds of stager and rescuer."
    )
    prune_pause_seconds: float = Field(
        default=60.0, ge=1, le=86400, description="Pause between two rounds of the pruner."
    )
    leader_seconds: float = Field(
        default=15.0, ge=1, le=600, description="How long a leader of maintenance may be silent."
    )
    maintenance_batch: int = Field(
        default=500, ge=1, le=10_000, description="Rows that one statement of maintenance may touch."
    )
