"""A reader of one document: writes out its blocks of code, and runs its programs as they are shown."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.tests.support import documents, run_programs
from holdfast.tests.support.documents import Snippet


def write_modules(document: Path, folder: Path) -> list[str]:
    """Write the blocks that say which file they are; return the names of the modules."""
    blocks = [one for one in documents.snippets(document) if one.language == "python" and one.module]
    for one in blocks:
        file = folder / str(one.module)
        if file.parent != folder:
            file.parent.mkdir(exist_ok=True)
            (file.parent / "__init__.py").touch()
        file.write_text(one.code, encoding="utf-8")
    return [str(one.module).removesuffix(".py").replace("/", ".") for one in blocks]


def programs(document: Path) -> list[Snippet]:
    """Return the blocks that are no files, in order: what a reader runs."""
    return [one for one in documents.snippets(document) if one.language == "python" and not one.module]


def run(
    shown: Sequence[Snippet], folder: Path, variables: Mapping[str, str], *, timeout_seconds: float = 90
) -> list[tuple[str, list[str]]]:
    """Run programs one after another in one process; return what each raised, and the lines it printed."""
    files = [str(folder / f"program{number}.py") for number in range(len(shown))]
    for file, one in zip(files, shown, strict=True):
        Path(file).write_text(one.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", run_programs.__name__, *files],
        cwd=folder,
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_seconds,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    if len(told) != len(files):
        raise AssertionError(done.stderr)
    return [(report["error"], report["printed"].splitlines()) for report in told]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return our own variables without settings of a developer's, and these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**others, **variables}
