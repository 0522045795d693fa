"""The page on testing is itself a project with tests: written out, they pass."""

import re
import subprocess
import sys

import pytest

from holdfast.testing import CRASH_POINTS
from holdfast.tests.support import async_tests, documents
from holdfast.tests.support.repository import ROOT

PYTEST = (sys.executable, "-m", "pytest", "-q")
PAGE = ROOT / "docs" / "testing.md"


@pytest.mark.timeout(300)
def test_each_test_on_the_page_passes(tmp_path):
    """As its readers would run them, with warnings as errors."""
    files = [one for one in documents.snippets(PAGE) if one.language == "python"]
    for one in files:
        (tmp_path / str(one.module)).write_text(one.code, encoding="utf-8")
    done = subprocess.run(
        [*PYTEST, "-p", async_tests.__name__, "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    tests = sum(len(re.findall(r"^(?:async )?def test_", one.code, re.MULTILINE)) for one in files)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout


def test_the_page_names_every_crash_point():
    """And no other."""
    text = PAGE.read_text(encoding="utf-8")
    rows = [
        line.split("|")[1] for line in text.partition("| point |")[2].splitlines() if line.startswith("|")
    ]
    assert set(CRASH_POINTS) == {name for row in rows for name in re.findall(r"`(\w+)`", row)}
