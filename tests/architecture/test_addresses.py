"""No file names a package registry or a place on somebody's machine."""

import re

from holdfast.tests.support.repository import place, texts

# Written in pieces, so that this file passes its own test.
REGISTRIES = [
    "py" + "pi.org", "python" + "hosted", "npm" + "js.", "registry." + "npm", "deb." + "debian.org",
    "archive." + "ubuntu", "find-" + "links =", "extra-" + "index-url =",
]  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users|farm)/[\w.-]+")


def test_no_file_names_a_registry():
    """Where packages come from is the business of whoever installs them."""
    named = [
        place(path, number)
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if any(registry in line for registry in REGISTRIES)
    ]
    assert [] == named


def test_no_file_names_a_place_on_a_machine():
    """Paths are relative, or those that every system has."""
    named = [
        place(path, number)
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert [] == named
