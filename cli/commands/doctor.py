"""`holdfast doctor`: what was configured, where each value came from, and what is missing."""

from typing import Annotated

import typer
from rich.console import Console

from holdfast.cli.doctor import page
from holdfast.cli.doctor.broker import look_at_broker
from holdfast.cli.doctor.database import look_at_database
from holdfast.cli.doctor.guards import look_at_guards
from holdfast.cli.doctor.machine import look_at_machine
from holdfast.cli.doctor.modules import look_at_modules
from holdfast.cli.doctor.verdict import Level, Verdict
from holdfast.settings import Report, Settings, examine
from holdfast.settings.effective import effective

LOOKS = (look_at_machine, look_at_guards, look_at_database, look_at_broker, look_at_modules)


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Show the effective settings and what is missing, with the one command that mends it.

    Exit code 0: all is well; 1: warnings; 2: errors. What only production
    refuses (SQLite, the embedded broker) is no warning in development.
    """
    examination = examine()
    verdicts = examined(examination.settings)
    code = exit_code(examination.report, verdicts)
    rows = effective(examination.settings)
    if json:
        typer.echo(page.as_json(rows, examination.report, verdicts, exit_code=code))
    else:
        page.show(Console(), rows, examination.report, verdicts)
    raise typer.Exit(code)


def examined(settings: Settings) -> list[Verdict]:
    """Run every look."""
    return [verdict for look in LOOKS for verdict in look(settings)]


def exit_code(report: Report, verdicts: list[Verdict]) -> int:
    """Return 0, 1 or 2 for the worst that was found."""
    levels = {verdict.level for verdict in verdicts}
    if report.errors or Level.ERROR in levels:
        return 2
    matters = any(finding.matters_in == "always" for finding in report.warnings)
    return 1 if matters or Level.WARNING in levels else 0
