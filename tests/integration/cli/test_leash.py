"""No child outlives its supervisor, however that ends."""

import subprocess
import sys

import psutil
import pytest

from holdfast.cli.supervisor.child import LEASH
from holdfast.tests.support.command_line import is_alive
from holdfast.tests.support.waiting import until

SLEEPER = [
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import time; print('up', flush=True); time.sleep(300)  # the child's work",
]
PARENT = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), *sys.argv[2:]])
sys.stdin.read()
"""


def _parent(*options):
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PARENT, str(LEASH), *options, "--", *SLEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("options", [(), ("--watch",)])
def test_a_killed_parent_takes_the_child_along(options):
    """When the parent is killed with SIGKILL the program ends, on Linux and where the leash has to watch."""
    parent = _parent(*options)
    assert b"up\n" == parent.stdout.readline()
    below = psutil.Process(parent.pid).children(recursive=True)
    assert len(below) == 1 + len(options)
    parent.kill()
    parent.communicate()
    until(lambda: not any(map(is_alive, below)), what="the end of all children")


def test_a_parent_that_is_gone_already_is_noticed(tmp_path):
    """A leash whose parent died before it could ask the kernel does not run the program."""
    mark = tmp_path / "mark"
    program = [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]
    ended = subprocess.run([sys.executable, "-I", "-S", LEASH, "1", "--", *program], check=False)
    assert ended.returncode
    assert not mark.exists()


def test_a_program_that_is_not_there_is_named():
    """A program that cannot be run gives a line with its name, and 127."""
    parent = str(psutil.Process().pid)
    ended = subprocess.run(
        [sys.executable, "-I", "-S", LEASH, parent, "--", "/nowhere/server"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 127 == ended.returncode
    assert "/nowhere/server cannot be run" in ended.stderr
