"""What one value cannot tell: checks over several settings. Pure; one subject per file."""

from typing import Final

from holdfast.settings.checks.addresses import address_errors
from holdfast.settings.checks.chaos import chaos_errors, chaos_reminders
from holdfast.settings.checks.exposure import exposure_warnings
from holdfast.settings.checks.strangers import stranger_errors, stranger_warnings
from holdfast.settings.checks.substance import substance_warnings
from holdfast.settings.checks.timing import timing_errors
from holdfast.settings.model import Settings
from holdfast.settings.report import Report, report_of

ERRORS: Final = (address_errors, timing_errors, stranger_errors, chaos_errors)
WARNINGS: Final = (substance_warnings, exposure_warnings, stranger_warnings)
REMINDERS: Final = (chaos_reminders,)
"""Warnings about what somebody allowed in so many words: they refuse nothing, in production neither."""


def check(settings: Settings) -> Report:
    """Run every check; in production warnings become errors."""
    reminders = Report(warnings=tuple(finding for find in REMINDERS for finding in find(settings)))
    report = report_of(
        [finding for find in ERRORS for finding in find(settings)],
        [finding for find in WARNINGS for finding in find(settings)],
        in_production=settings.is_production,
    )
    return report + reminders
