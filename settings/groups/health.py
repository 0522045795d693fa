"""Where probes and metrics are served."""

from pathlib import Path

from pydantic import BaseModel, Field

LOOPBACK = "127.0.0.1"


class HealthFields(BaseModel):
    """Probes and metrics."""

    probe_host: str = Field(
        default=LOOPBACK, min_length=1, description="Address of the worker's probes and metrics."
    )
    probe_port: int = Field(
        default=8710, ge=0, le=65535, description="Port of the worker's probes and metrics; 0: any free one."
    )
    probe_heartbeat_file: Path | None = Field(
        default=None,
        description="File that the worker touches while its loop turns; "
        "unset: `worker.heartbeat` in the data folder.",
    )
    health_cache_seconds: float = Field(
        default=2.0, ge=0, le=60, description="How long an answer of `/health` may be given again."
    )
    health_timeout_seconds: float = Field(
        default=5.0, ge=0.1, le=60, description="Longest wait for one health check."
    )
    metrics_enabled: bool = Field(default=True, description="Whether `/metrics` is served beside the probes.")
