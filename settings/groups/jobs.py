"""What a job may take, and how long it is kept."""

from pydantic import BaseModel, Field

DAY_SECONDS = 86400.0


class JobFields(BaseModel):
    """Jobs."""

    soft_timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        le=30 * DAY_SECONDS,
        description="After so long a handler is cancelled; unset: never. A task may say otherwise.",
    )
    hard_timeout_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=30 * DAY_SECONDS,
        description="After so long an attempt ends whatever it does. A task may say otherwise.",
    )
    attempt_grace_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Added to the hard timeout before others take the attempt for lost.",
    )
    job_total_age_seconds: float = Field(
        default=7 * DAY_SECONDS,
        ge=60,
        le=365 * DAY_SECONDS,
        description="A job that is not final after so long is quarantined.",
    )
    no_offer_quarantine_seconds: float = Field(
        default=600.0,
        ge=1,
        le=30 * DAY_SECONDS,
        description="A job whose task no live worker offers is quarantined after so long.",
    )
    completed_retention_seconds: float = Field(
        default=7 * DAY_SECONDS,
        ge=60,
        le=3650 * DAY_SECONDS,
        description="How long completed and cancelled jobs are kept.",
    )
    quarantined_retention_seconds: float = Field(
        default=30 * DAY_SECONDS,
        ge=60,
        le=3650 * DAY_SECONDS,
        description="How long quarantined jobs are kept.",
    )
    arguments_largest_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=1024 * 1024,
        description="Largest arguments of a job, as UTF-8 JSON.",
    )
    result_largest_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=1024 * 1024,
        description="Largest result of a job, as UTF-8 JSON.",
    )
    message_largest_bytes: int = Field(
        default=2 * 1024 * 1024,
        ge=4096,
        le=128 * 1024 * 1024,
        description="Largest broker message that is looked into; others are quarantined.",
    )
