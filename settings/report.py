"""What is wrong with the settings: errors refuse the start, warnings do not.

In production every warning is an error. Each finding names the setting and the
one thing to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.jobs.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    setting: str
    """The variable's name, such as HOLDFAST_BROKER_URL."""
    problem: str
    remedy: str
    """The one thing to do."""
    matters_in: str = "always"
    """`production`: it is fine on a desk, and only refused in production."""

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.setting}: {self.problem}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Report:
    """All findings at once."""

    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    def raise_errors(self) -> None:
        """Raise SettingsError with every error at once; return when there is none."""
        if self.errors:
            lines = "".join(f"\n  - {finding}" for finding in self.errors)
            raise SettingsError(detail=f"{lines}\n{len(self.errors)} to mend")

    def __add__(self, other: "Report") -> "Report":
        """Return the findings of both."""
        return Report(self.errors + other.errors, self.warnings + other.warnings)


def report_of(errors: Iterable[Finding], warnings: Iterable[Finding], *, in_production: bool) -> Report:
    """Sort findings into a report: in production warnings are errors."""
    if in_production:
        return Report((*errors, *warnings))
    return Report(tuple(errors), tuple(warnings))
