"""One JSON file per cell: written when it was played, and read to know what is still to be done."""

import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

from holdfast.tests.chaos.catalogue import Cell
from holdfast.tests.support.repository import ROOT

FOLDER = ROOT / "benchmarks" / "results" / "chaos"
# A run of the same program is the same run, whatever was written about it since.
PROGRAM = (".", ":!benchmarks", ":!docs", ":!*.md")


def commit() -> str:
    """Name the program that is run: its last commit, and what was changed since, if anything."""
    last = _git("log", "-1", "--format=%h", "--abbrev=12", "--", *PROGRAM).strip()
    changes = _git("diff", "HEAD", "--", *PROGRAM)
    return f"{last}+{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if changes else last


def machine() -> str:
    """Describe the machine without naming it."""
    gigabytes = round(psutil.virtual_memory().total / 2**30)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {gigabytes} GB, "
        f"Python {platform.python_version()}"
    )


def path_of(cell: Cell, folder: Path = FOLDER) -> Path:
    """Return where a cell's result is kept; a later one takes its place."""
    return folder / f"{cell.name}.json"


def read(cell: Cell, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Read a cell's result; None if there is none that can be read."""
    try:
        return json.loads(path_of(cell, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(cell: Cell, record: dict[str, Any], folder: Path = FOLDER) -> None:
    """Write a cell's result as a whole: a run that is broken off leaves no half of one."""
    path = path_of(cell, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(path)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 -- git is on PATH
    return done.stdout
