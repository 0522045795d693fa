"""Whether the durations fit together."""

from collections.abc import Iterator

from holdfast.settings.model import Settings
from holdfast.settings.report import Finding


def timing_errors(settings: Settings) -> Iterator[Finding]:
    """Find durations that would make healthy workers look dead, or limits that never act."""
    if settings.beat_seconds * 2 >= settings.lease_seconds:
        yield Finding(
            "HOLDFAST_BEAT_SECONDS",
            f"{settings.beat_seconds:g} s is not less than half of HOLDFAST_LEASE_SECONDS "
            f"({settings.lease_seconds:g} s), so one lost heartbeat would be a lost worker",
            "Set it to a quarter of the lease.",
        )
    if (
        settings.soft_timeout_seconds is not None
        and settings.soft_timeout_seconds >= settings.hard_timeout_seconds
    ):
        yield Finding(
            "HOLDFAST_SOFT_TIMEOUT_SECONDS",
            f"{settings.soft_timeout_seconds:g} s is not less than HOLDFAST_HARD_TIMEOUT_SECONDS "
            f"({settings.hard_timeout_seconds:g} s), so it would never act",
            "Lower it, or raise the hard timeout.",
        )
    if settings.unsure_limit_seconds <= settings.lease_seconds:
        yield Finding(
            "HOLDFAST_UNSURE_LIMIT_SECONDS",
            f"{settings.unsure_limit_seconds:g} s is not more than HOLDFAST_LEASE_SECONDS "
            f"({settings.lease_seconds:g} s), so a short outage of the database would cancel every job",
            "Set it to several minutes.",
        )
    if settings.job_total_age_seconds <= settings.hard_timeout_seconds:
        yield Finding(
            "HOLDFAST_JOB_TOTAL_AGE_SECONDS",
            f"{settings.job_total_age_seconds:g} s is not more than HOLDFAST_HARD_TIMEOUT_SECONDS "
            f"({settings.hard_timeout_seconds:g} s), so a job could be too old within its first attempt",
            "Raise it to a few times the hard timeout.",
        )
    if settings.leader_seconds <= settings.sweep_seconds * 2:
        yield Finding(
            "HOLDFAST_LEADER_SECONDS",
            f"{settings.leader_seconds:g} s is not more than two rounds of HOLDFAST_SWEEP_SECONDS "
            f"({settings.sweep_seconds:g} s), so the lead would change all the time",
            "Raise it.",
        )
