"""Writes the table of the last results into docs/guarantees.md, between two markers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.tests.chaos import records
from holdfast.tests.chaos.catalogue import FAULTS, Cell, Fault, Stack
from holdfast.tests.chaos.play import LATE
from holdfast.tests.support.repository import ROOT

PAGE = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
MOST_REPETITIONS = 100
COLUMNS = (
    "lost",
    "doubled_inside",
    "doubled_with_key",
    "doubled_final",
    "manual_interventions",
    "doubled_raw",
)
HEAD = (
    "| fault | stack | lost | doubled inside | doubled with key | doubled endings | by hand | raw doubled "
    "| recovered in s (bound) | verdict |\n|---|---|---|---|---|---|---|---|---|---|"
)
SHOWN = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "redis": "Redis", "rabbitmq": "RabbitMQ"}


def write(page: Path = PAGE, folder: Path = records.FOLDER) -> None:
    """Put the table of the results in the folder between the markers of the page."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{render(folder)}\n{END}{after}", encoding="utf-8")


def render(folder: Path = records.FOLDER) -> str:
    """Return the table: the worst of the repetitions of each fault on each stack."""
    lines, everything = [], []
    for fault in FAULTS:
        for stack in fault.stacks:
            found = _results(fault, stack, folder)
            everything += found
            lines.append(_row(fault, stack, found))
    return "\n".join(
        [
            _caption(everything),
            "",
            HEAD,
            *lines,
            "",
            *_stories(),
            "",
            *_calls(everything),
            *_failures(everything),
        ]
    ).strip()


def _results(fault: Fault, stack: Stack, folder: Path) -> list[dict[str, Any]]:
    found = [
        records.read(Cell(fault, stack, number), folder)
        for number in range(1, MOST_REPETITIONS)
        if records.path_of(Cell(fault, stack, number), folder).exists()
    ]
    return [record for record in found if record is not None]


def _row(fault: Fault, stack: Stack, found: Sequence[dict[str, Any]]) -> str:
    name = f"{SHOWN[stack.database]} + {SHOWN[stack.broker]}"
    if not found:
        return f"| {fault.name} | {name} |" + " |" * len(COLUMNS) + " | not played |"
    worst = [_worst(found, column) for column in COLUMNS]
    seconds = _worst(found, "recovered_seconds")
    bound = "none" if fault.bound_seconds is None else f"{fault.bound_seconds:g}"
    verdict = _verdict(found)
    return f"| {fault.name} | {name} | {' | '.join(worst)} | {seconds} ({bound}) | {verdict} |"


def _verdict(found: Sequence[dict[str, Any]]) -> str:
    bad = [record for record in found if record["verdict"] != "pass"]
    if not bad:
        return "pass"
    return f"**{'late' if all(map(is_late, bad)) else 'fail'}** ({len(bad)} of {len(found)})"


def is_late(record: dict[str, Any]) -> bool:
    """Tell whether a cell broke no promise, and took longer than its bound."""
    return bool(record["wrong"]) and all(wrong.startswith(LATE) for wrong in record["wrong"])


def _worst(found: Sequence[dict[str, Any]], column: str) -> str:
    values = [record["columns"].get(column) for record in found]
    known = [value for value in values if value is not None]
    return f"{max(known):g}" if known else "-"


def _caption(found: Sequence[dict[str, Any]]) -> str:
    if not found:
        return "No results yet: `make chaos` writes them."
    passed = sum(record["verdict"] == "pass" for record in found)
    late = sum(map(is_late, found))
    repetitions = max(record["repetition"] for record in found)
    commits = sorted({record["commit"] for record in found})
    dates = sorted({record["date"] for record in found})
    machines = "; ".join(sorted({record["machine"] for record in found}))
    loads = [record.get("load", 0) for record in found]
    span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return (
        f"{passed} of {len(found)} runs passed, {late} were late; "
        f"{repetitions} repetition(s), the worst is shown. "
        f"Commit {', '.join(commits)}; {span}; {machines}; "
        f"load average {min(loads):g} to {max(loads):g}."
    )


def _stories() -> list[str]:
    return [f"- **{fault.name}**: {fault.title} {fault.note}".rstrip() for fault in FAULTS]


def _calls(found: Sequence[dict[str, Any]]) -> list[str]:
    """Tell how hard the sick upstream was hit: no column of the table has room for it."""
    played = [record for record in found if "wasted_calls_in_the_outage" in record.get("extra", {})]
    lines = [
        f"- {record['fault']}, {record['stack']}: {record['extra']['wasted_calls_in_the_outage']} calls "
        f"in the outage, then at most {record['extra']['peak_calls_per_second_after_it']} a second, "
        f"{record['extra']['refused_calls_after_it']} of them refused"
        for record in played
    ]
    return ["What F13 cost the upstream:", "", *lines, ""] if lines else []


def _failures(found: Sequence[dict[str, Any]]) -> list[str]:
    failed = [record for record in found if record["verdict"] != "pass" and not is_late(record)]
    if not failed:
        return []
    lines = [
        f"- {record['fault']}, {record['stack']}, repetition {record['repetition']}: "
        + "; ".join(wrong.splitlines()[0][:200] for wrong in record["wrong"][:3])
        for record in failed
    ]
    return ["What failed:", "", *lines]
