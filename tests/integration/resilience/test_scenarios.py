"""The list of scenarios is true: tests exist, changes fit, its page is up to date, each mutant is caught."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.tests.integration.resilience.scenarios import MUTANTS, SCENARIOS, Mutant, page
from holdfast.tests.support.repository import ROOT

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "benchmarks", "*.egg-info")
EVERY_MARK = "(outage or not outage) and (slow or not slow)"
FAILED = 1
"""pytest's exit code where tests failed; anything else would be another mistake."""


def test_each_test_that_is_named_exists():
    """A renamed test would be a scenario without one."""
    named = {test for one in SCENARIOS for test in one.tests} | {mutant.test for mutant in MUTANTS}
    for test in sorted(named):
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), test


def test_each_mutant_fits_the_source():
    """A change that no longer fits is a proof that no longer proves."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        for change in mutant.changes:
            source = (ROOT / change.file).read_text(encoding="utf-8")
            assert 1 == source.count(change.old), (mutant.name, change.old)


def test_the_page_is_up_to_date():
    """Written by the list itself."""
    assert page() == (ROOT / "docs/scenarios.md").read_text(encoding="utf-8")


@pytest.mark.outage
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_is_caught(mutant: Mutant, tmp_path: Path):
    """In a copy of the code without one rule, the test that plays it fails."""
    copy = tmp_path / "holdfast"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    for change in mutant.changes:
        path = copy / change.file
        path.write_text(path.read_text(encoding="utf-8").replace(change.old, change.new), encoding="utf-8")
    played = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-m",
            EVERY_MARK,
            mutant.test,
        ],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert FAILED == played.returncode, played.stdout[-2000:] + played.stderr[-2000:]
    assert str(copy) in played.stdout or "FAILED" in played.stdout
