"""Whether calls are failed on purpose, and whether they may be."""

from collections.abc import Iterator

from holdfast.settings.model import Settings
from holdfast.settings.report import Finding

_VARIABLE = "HOLDFAST_CHAOS"


def chaos_errors(settings: Settings) -> Iterator[Finding]:
    """Find faults on purpose in production that nobody allowed."""
    if settings.chaos.strip() and settings.is_production and not settings.chaos_in_production:
        yield Finding(
            _VARIABLE,
            "fails calls to upstreams on purpose, and this is production",
            "Take it away, or set HOLDFAST_CHAOS_IN_PRODUCTION=1 if you mean it.",
        )


def chaos_reminders(settings: Settings) -> Iterator[Finding]:
    """Say that calls are failed on purpose, wherever that is allowed."""
    if settings.chaos.strip() and (not settings.is_production or settings.chaos_in_production):
        yield Finding(
            _VARIABLE,
            "fails calls to upstreams on purpose",
            "Take it away when you have seen enough.",
        )
