"""The locks pin everything by hash, and tell nothing about where it was fetched."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from holdfast.tests.support.repository import ROOT

LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;\\]+)(?P<marker> ;[^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
NOTE = re.compile(r"^(?:# The following packages are considered to be unsafe in a requirements file:)?$")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_line_is_a_pin_or_a_hash(lock):
    """No option, no address, no path: pins and SHA-256 hashes only."""
    odd = [line for line in _lines(lock) if not (PIN.match(line) or HASH.match(line) or NOTE.match(line))]
    assert [] == odd


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_hashes(lock):
    """Each pin is followed by at least one hash."""
    lines = _lines(lock)
    bare = [
        line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if PIN.match(line) and not HASH.match(below)
    ]
    assert [] == bare


def test_the_locks_agree():
    """What running needs is pinned to the same versions for testing."""
    run, develop = map(_pins, LOCKS)
    assert run == {name: develop[name] for name in run}


def test_every_direct_requirement_is_locked_within_its_bounds():
    """The locks hold each requirement of pyproject.toml, in a version that its bounds allow."""
    project = _project()
    extras = project["optional-dependencies"]
    to_run = [*project["dependencies"], *extras["local"], *extras["pdf"]]
    to_develop = [requirement for extra in extras.values() for requirement in extra]
    assert [] == _unmet(to_run, _pins(LOCKS[0]))
    assert [] == _unmet(to_develop, _pins(LOCKS[1]))


def test_what_only_some_systems_need_keeps_its_marker():
    """A wheel that exists for some systems only does not stop the installation on others."""
    extras = _project()["optional-dependencies"]
    marked = [
        wanted
        for text in [*_project()["dependencies"], *(text for extra in extras.values() for text in extra)]
        for wanted in [Requirement(text)]
        if wanted.marker
    ]
    locked = {canonicalize_name(pin["name"]): pin["marker"] for pin in _matches(LOCKS[1])}
    assert marked
    for wanted in marked:
        marker = locked[canonicalize_name(wanted.name)]
        assert marker, f"{wanted.name} lost its marker"
        assert wanted.marker == Marker(marker.removeprefix(" ;"))


def _unmet(requirements: list[str], pins: dict[str, str]) -> list[str]:
    return [
        text
        for text in requirements
        for wanted in [Requirement(text)]
        if not wanted.specifier.contains(pins.get(canonicalize_name(wanted.name), "0"))
    ]


def _pins(lock: Path) -> dict[str, str]:
    return {canonicalize_name(pin["name"]): pin["version"] for pin in _matches(lock)}


def _matches(lock: Path) -> list[re.Match[str]]:
    return [pin for line in _lines(lock) if (pin := PIN.match(line))]


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _lines(lock: Path) -> list[str]:
    return lock.read_text(encoding="utf-8").splitlines()
