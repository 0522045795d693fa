"""Flower, the picture of workers and jobs."""

from pydantic import BaseModel, Field, SecretStr

from holdfast.settings.groups.health import LOOPBACK


class FlowerFields(BaseModel):
    """Flower."""

    flower_host: str = Field(default=LOOPBACK, min_length=1, description="Address of Flower.")
    flower_port: int = Field(default=5555, ge=1, le=65535, description="Port of Flower.")
    flower_user: str = Field(
        default="holdfast", pattern=r"^[^:\s]+$", description="User of Flower's pages and API."
    )
    flower_password: SecretStr | None = Field(
        default=None,
        min_length=8,
        description="Password of Flower; unset: made up at each start and printed once.",
    )
    flower_tasks_most: int = Field(
        default=10_000, ge=100, le=1_000_000, description="Jobs that Flower keeps in memory, about 9 kB each."
    )
    flower_workers_most: int = Field(
        default=1000, ge=10, le=100_000, description="Workers that Flower keeps in memory."
    )
