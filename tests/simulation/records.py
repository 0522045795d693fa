"""How far a hunt came: written as it goes, so that one that is broken off goes on where it stopped.

Seeds tell the same stories as long as the program is the same, so what was
played of it counts whenever it was. Another program begins at the first seed.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from holdfast.jobs.state import JobState, Move
from holdfast.tests.simulation.matrix import Cell, CrashPoint, Transition
from holdfast.tests.support.repository import ROOT


def program() -> str:
    """Name what is played: the sources of all our modules that are loaded."""
    loaded = [getattr(module, "__file__", None) for module in tuple(sys.modules.values())]
    paths = {Path(path).resolve() for path in loaded if path}
    sources = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_relative_to(ROOT.resolve()) and _is_ours(path)):
        sources.update(f"{path.relative_to(ROOT.resolve())}\0".encode() + path.read_bytes() + b"\0")
    return sources.hexdigest()[:16]


def _is_ours(path: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(ROOT.resolve()).parts)


def read(path: Path, what: str, first: int) -> tuple[int, list[Cell]]:
    """Return at which seed to go on, and which cells were met up to there."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (record["program"], record["first"]) != (what, first):
            return first, []
        return int(record["next"]), [cell for row in record["cells"] for cell in _cells(row)]
    except (OSError, ValueError, KeyError, TypeError):
        return first, []


def write(path: Path, what: str, seeds: tuple[int, int], counts: dict[Cell, int]) -> None:
    """Write it as a whole: `seeds` are the first one and the one to go on with."""
    rows = [
        [cell.transition.move, cell.transition.source, cell.transition.target, cell.point, count]
        for cell, count in counts.items()
    ]
    record = {"program": what, "first": seeds[0], "next": seeds[1], "cells": sorted(rows)}
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, indent=None, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(path)


def _cells(row: list[Any]) -> list[Cell]:
    move, source, target, point, count = row
    return [Cell(Transition(Move(move), JobState(source), JobState(target)), CrashPoint(point))] * int(count)
