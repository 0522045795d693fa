"""The promises about types, judged by the type checker itself."""

import importlib.util
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from holdfast.tests.support.servers import require

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
EXPECTED = re.compile(r"# E: ([a-z, -]+)$")
FOUND = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[Path, set[tuple[int, str]]]:
    """Run mypy over the files; line and code of each error, by file."""
    require(importlib.util.find_spec("mypy") and "mypy", "mypy, from the extra `dev`")
    links = tmp_path_factory.mktemp("types")
    (links / "holdfast").symlink_to(ROOT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", *map(str, FILES)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(links)},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = defaultdict(set)
    for line in done.stdout.splitlines():
        if match := FOUND.match(line):
            errors[(ROOT / match["file"]).resolve()].add((int(match["line"]), match["code"]))
    assert done.returncode in (0, 1), done.stderr
    return errors


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_type_checker_agrees(found, file):
    """It rejects the marked lines, for the stated reason, and no other."""
    lines = file.read_text(encoding="utf-8").splitlines()
    expected = {
        (number, code)
        for number, line in enumerate(lines, start=1)
        if (match := EXPECTED.search(line))
        for code in match[1].split(", ")
    }

    assert expected == found[file.resolve()]
