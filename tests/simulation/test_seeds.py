"""A few seeds with every `make test`; `make simulate` hunts with thousands, and with the mutants."""

import subprocess
import sys

import pytest

from holdfast.jobs.state import TRANSITIONS
from holdfast.tests.simulation.database import Database
from holdfast.tests.simulation.fleet import MACHINES
from holdfast.tests.simulation.matrix import EVERY_TRANSITION, Cell, CrashPoint, Matrix
from holdfast.tests.simulation.world import FEWEST_STEPS, World, run

SEEDS = 280
"""Each cell of the matrix is aimed at twice."""


@pytest.fixture(scope="module")
def database():
    """The database of this interpreter."""
    return Database()


@pytest.mark.hunt
@pytest.mark.timeout(1800)
def test_no_seed_breaks_a_promise_and_no_cell_is_empty():
    """Whatever crashes at whichever transition: one owner, one end, no job forgotten."""
    hunt = [sys.executable, "-m", "holdfast.tests.simulation.hunt", "--seeds", str(SEEDS), "--processes", "2"]
    played = subprocess.run(hunt, capture_output=True, text=True, check=False)
    assert (0, "") == (played.returncode, played.stderr), played.stdout


@pytest.mark.parametrize("seed", [1, 10, 13])
def test_every_run_is_hard_enough(database, seed):
    """Three workers, twenty jobs, a crash, a broker that loses everything, and 200 steps at least."""
    report = run(database, seed)
    assert "" == report.broken, "\n".join(report.story)
    assert report.workers > len(MACHINES)
    assert report.jobs >= 20
    assert report.crashes >= 1
    assert 1 == report.broker_losses
    assert report.steps >= FEWEST_STEPS


def test_a_seed_tells_the_same_story_each_time(database):
    """A failing seed can be looked at again."""
    first, again = World(database, 5), World(database, 5)
    assert [(one.run().steps, list(one.story.tell())) for one in (first,)] == [
        (one.run().steps, list(one.story.tell())) for one in (again,)
    ]


def test_the_matrix_knows_every_transition_and_names_what_is_empty():
    """A new way between two states is a new row, and fails until a story crosses it."""
    assert sum(len(pairs) for pairs in TRANSITIONS.values()) == len(EVERY_TRANSITION)
    told = Cell(EVERY_TRANSITION[0], CrashPoint.FROZEN)
    assert told not in Matrix([told]).empty()
    assert len(EVERY_TRANSITION) * len(CrashPoint) - 1 == len(Matrix([told]).empty())
