"""Plays one cell and writes down what came of it."""

import os
import time
import traceback
from typing import Any

from holdfast.jobs.clock import SystemClock
from holdfast.tests.chaos import records
from holdfast.tests.chaos.catalogue import Cell
from holdfast.tests.chaos.scene import SETTINGS, Scene, SharedServers, scene

LATE = "recovered after"
"""How the reason of a cell begins that broke no promise, and took longer than its bound."""
MUST_BE_ZERO = ("lost", "doubled_inside", "doubled_with_key", "doubled_final", "manual_interventions")


def play(cell: Cell, shared: SharedServers, commit: str) -> dict[str, Any]:
    """Play a cell; a story that breaks off is a failed cell, never a failed run."""
    started = time.monotonic()
    fault = cell.fault
    record: dict[str, Any] = {
        "fault": fault.name,
        "stack": cell.stack.name,
        "repetition": cell.repetition,
        "commit": commit,
        "date": SystemClock().now().date().isoformat(),
        "machine": records.machine(),
    }
    try:
        with scene(
            cell.stack,
            shared,
            own_database=fault.own_database,
            own_broker=fault.own_broker,
            durable_broker=fault.durable_broker,
        ) as played:
            record |= _play(cell, played)
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is the result of this cell
        wrong = [f"broke off: {error!r}"[:1000], traceback.format_exc()[-2000:]]
        record |= {"verdict": "fail", "wrong": wrong, "columns": {}, "extra": {}, "jobs": 0, "settings": {}}
    # Seconds on a machine with other work say as much about that as about us.
    record["load"] = round(os.getloadavg()[0], 1)
    record["seconds"] = round(time.monotonic() - started, 1)
    return record


def _play(cell: Cell, played: Scene) -> dict[str, Any]:
    try:
        cell.fault.play(played)
        played.watch()
    except AssertionError as error:
        played.wrong.append(str(error)[:1000])
    books = played.books()
    for check in played.checks:
        if wrong := check(books):
            played.wrong.append(wrong)
    # No step of any story restarts a worker by hand: supervisors do, as platforms do.
    columns: dict[str, Any] = books.columns(played.expected, inside=played.inside)
    columns |= {"manual_interventions": 0, "recovered_seconds": _rounded(played.recovered_seconds)}
    if not played.inside:
        columns["doubled_inside"] = None
    wrong = played.wrong + _broken(columns, cell.fault.bound_seconds)
    if wrong:
        _keep_logs(cell, played)
    return {
        "verdict": "fail" if wrong else "pass",
        "wrong": wrong,
        "columns": columns,
        "bound_seconds": cell.fault.bound_seconds,
        "jobs": len(played.expected),
        "workers": len(played.fleet),
        "restarts": played.fleet.restarts,
        "outcomes": dict(sorted(books.outcomes.items())),
        "extra": played.extra,
        "settings": {
            name: value
            for name, value in sorted({**SETTINGS, **played.settings}.items())
            if name != "task_modules"
        },
    }


def _broken(columns: dict[str, Any], bound_seconds: float | None) -> list[str]:
    wrong = [f"{name}: {columns[name]}" for name in MUST_BE_ZERO if columns[name]]
    seconds = columns["recovered_seconds"]
    if bound_seconds is not None and seconds is not None and seconds > bound_seconds:
        wrong.append(f"{LATE} {seconds:g} s, the bound is {bound_seconds:g} s")
    return wrong


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _keep_logs(cell: Cell, played: Scene) -> None:
    """Keep what the workers of a failed cell wrote, for whoever looks for the cause."""
    folder = records.ROOT / "build" / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    for number, member in enumerate(played.fleet):
        (folder / f"{cell.name}-worker{number}.log").write_text(member.log, encoding="utf-8")
