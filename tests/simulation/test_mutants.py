"""A simulation that lets a known-bad protocol pass would prove nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.tests.simulation.mutants import MUTANTS, Patch
from holdfast.tests.simulation.patching import apply, patched
from holdfast.tests.support.repository import ROOT
from holdfast.workers import gate

MOST_SEEDS = 1000


@pytest.mark.hunt
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [mutant.name for mutant in MUTANTS])
def test_every_weaker_protocol_is_caught(name):
    """Production with one rule taken away breaks a promise within a thousand seeds."""
    hunt = [sys.executable, "-m", "holdfast.tests.simulation.hunt", "--mutant", name]
    caught = subprocess.run(
        [*hunt, "--seeds", str(MOST_SEEDS), "--processes", "1"], capture_output=True, text=True, check=False
    )
    assert 0 == caught.returncode, caught.stdout + caught.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_source(mutant):
    """A patch that no longer fits is a test that no longer tests; it says so."""
    for patch in mutant.patches:
        source = ROOT / Path(*patch.module.split(".")[1:]).with_suffix(".py")
        assert 1 == source.read_text(encoding="utf-8").count(patch.old)


def test_a_patch_that_does_not_fit_is_refused():
    """Neither a text that is not there nor one that stands there twice."""
    for source in ("", "x = 1\nx = 1\n"):
        with pytest.raises(ValueError, match="does not hold once"):
            patched(source, [Patch("a.module", "x = 1\n", "x = 2\n")])


def test_a_mutant_comes_before_the_first_import():
    """Production that is imported already is not changed under way."""
    imported = next(mutant for mutant in MUTANTS if mutant.patches[0].module == gate.__name__)
    with pytest.raises(RuntimeError, match="imported before"):
        apply(imported)
