"""A hunt that is broken off goes on where it stopped, and only with the same program."""

import subprocess
import sys

import pytest

from holdfast.tests.simulation import records
from holdfast.tests.simulation.matrix import EVERY_CELL, Matrix


def test_a_record_is_read_as_it_was_written(tmp_path):
    """Where to go on, and how often each cell was met."""
    path, met = tmp_path / "simulation.json", [EVERY_CELL[0], EVERY_CELL[0], EVERY_CELL[-1]]
    records.write(path, "a program", (5, 25), Matrix(met).counts)
    seed, cells = records.read(path, "a program", 5)
    assert (25, Matrix(met).counts) == (seed, Matrix(cells).counts)


@pytest.mark.parametrize(
    ("program", "first", "text"),
    [
        ("another program", 5, None),
        ("a program", 0, None),
        ("a program", 5, "{"),
        ("a program", 5, "[]"),
        ("a program", 5, '{"program": "a program", "first": 5, "next": 25, "cells": [["fly"]]}'),
    ],
)
def test_what_does_not_count_is_played_anew(tmp_path, program, first, text):
    """Another program's record, one with another beginning, and one that cannot be read."""
    path = tmp_path / "simulation.json"
    records.write(path, "a program", (5, 25), {})
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert (first, []) == records.read(path, program, first)
    assert (first, []) == records.read(tmp_path / "nothing.json", program, first)


def test_the_program_is_the_sources_that_are_loaded():
    """It is named after what is in our files, and found again."""
    assert records.program() == records.program()
    assert 16 == len(records.program())


@pytest.mark.hunt
def test_a_hunt_goes_on_where_it_stopped(tmp_path):
    """The second run plays only what the first one left."""
    hunt = [sys.executable, "-m", "holdfast.tests.simulation.hunt", "--record", str(tmp_path / "record.json")]
    said = [
        subprocess.run([*hunt, "--seeds", seeds], capture_output=True, text=True, check=True).stdout
        for seeds in ("2", "3")
    ]
    assert "0 of 2 seeds are played" in said[0]
    assert "2 of 3 seeds are played" in said[1]
    assert "3 seeds, no promise broken" in said[1]
