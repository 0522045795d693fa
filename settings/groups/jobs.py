"""What a job may take, and how long it is kept."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.retention import rules_of
from holdfast.jobs.rota import weights_of
from holdfast.settings.groups.values import TextList

DAY_SECONDS = 86400.0


def _limits(value: tuple[str, ...]) -> tuple[str, ...]:
    limits_of(value)  # its ValueError says what is wrong with which
    return value


def _rules(value: tuple[str, ...]) -> tuple[str, ...]:
    rules_of(value)
    return value


def _weights(value: tuple[str, ...]) -> tuple[str, ...]:
    weights_of(value)
    return value


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
    retention: Annotated[TextList, AfterValidator(_rules)] = Field(
        default=(),
        description="How long jobs are kept that are not kept as usual, by task and, if you like, by how "
        "they ended (completed, cancelled, quarantined): "
        "`mail.send=1h, reports.build:quarantined=90d, *:cancelled=1d`. The most particular one holds; "
        "`*` is every task.",
    )
    quarantined_retention_seconds: float = Field(
        default=30 * DAY_SECONDS,
        ge=60,
        le=3650 * DAY_SECONDS,
        description="How long quarantined jobs are kept.",
    )
    backlog_limits: Annotated[TextList, AfterValidator(_limits)] = Field(
        default=(),
        description="How many jobs may wait in a queue before new ones are refused, by class of priority "
        "(urgent: 0 to 3, normal: 4 to 6, bulk: 7 to 9): `default=10000, mail=5000/2000/500, *=100000`. "
        "A class is full when so many jobs of its own and the more important classes wait. Unset: no limit.",
    )
    tenant_weights: Annotated[TextList, AfterValidator(_weights)] = Field(
        default=(),
        description="How many jobs a tenant starts in its turn where more waits than can run, from 1 to 100: "
        "`acme=3, research=2`. One for tenants that are not named, and for jobs without a tenant.",
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
