"""How the doctor's findings are shown: tables for people, one JSON object for machines."""

import json
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.cli.doctor.verdict import Level, Verdict
from holdfast.settings import Finding, Report, Settings
from holdfast.settings.effective import Row
from holdfast.settings.model import variable_of

_NAMES_WIDTH: Final = max(len(variable_of(field)) for field in Settings.model_fields)
_MARKS: Final = {
    Level.OK: ("ok", "green"),
    Level.NOTE: ("note", "cyan"),
    Level.WARNING: ("warning", "yellow"),
    Level.ERROR: ("error", "bold red"),
}


def as_json(rows: Sequence[Row], report: Report, verdicts: Sequence[Verdict], *, exit_code: int) -> str:
    """Return everything as one JSON object."""
    return json.dumps(
        {
            "status": ("ok", "warnings", "errors")[exit_code],
            "settings": [
                {"group": row.group, "variable": row.variable, "value": row.value, "source": str(row.source)}
                for row in rows
            ],
            "errors": [_finding(finding) for finding in report.errors],
            "warnings": [_finding(finding) for finding in report.warnings],
            "checks": [
                {
                    "subject": verdict.subject,
                    "level": str(verdict.level),
                    "found": verdict.found,
                    "remedy": verdict.remedy,
                }
                for verdict in verdicts
            ],
        },
        ensure_ascii=False,
        indent=2,
    )


def show(console: Console, rows: Sequence[Row], report: Report, verdicts: Sequence[Verdict]) -> None:
    """Print the settings by group, then what was found."""
    for group in dict.fromkeys(row.group for row in rows):
        console.print(_settings(group, [row for row in rows if row.group == group]))
    console.print(_checks(report, verdicts))
    remedies = [verdict for verdict in verdicts if verdict.remedy and verdict.level is not Level.OK]
    if remedies:
        console.print(Text("To mend it:", style="bold"))
    for verdict in remedies:
        # Not in a table: a command is for copying, and must not be folded.
        console.print(
            Text(f"  {verdict.subject}: "), Text(verdict.remedy, style="bold"), sep="", soft_wrap=True
        )


def _settings(group: str, rows: Sequence[Row]) -> Table:
    table = Table(title=group, title_justify="left", box=box.SIMPLE, show_header=False, title_style="bold")
    table.add_column(no_wrap=True, min_width=_NAMES_WIDTH)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        source = str(row.source)
        table.add_row(
            row.variable, Text(row.value), Text(source, style="dim" if source == "default" else "cyan")
        )
    return table


def _checks(report: Report, verdicts: Sequence[Verdict]) -> Table:
    table = Table(
        title="Findings", title_justify="left", box=box.SIMPLE, show_header=False, title_style="bold"
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for finding in report.errors:
        table.add_row(_mark(Level.ERROR), finding.setting, Text(f"{finding.problem}. {finding.remedy}"))
    for finding in report.warnings:
        level = Level.NOTE if finding.matters_in == "production" else Level.WARNING
        text = f"{finding.problem}. {finding.remedy}"
        table.add_row(
            _mark(level),
            finding.setting,
            Text(f"Production refuses: {text}" if level is Level.NOTE else text),
        )
    for verdict in verdicts:
        table.add_row(_mark(verdict.level), verdict.subject, Text(verdict.found))
    return table


def _mark(level: Level) -> Text:
    word, style = _MARKS[level]
    return Text(word, style=style)


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "setting": finding.setting,
        "problem": finding.problem,
        "remedy": finding.remedy,
        "matters_in": finding.matters_in,
    }
