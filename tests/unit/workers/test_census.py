"""Proof of death, on real processes (B5)."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from holdfast.tests.support.waiting import until
from holdfast.workers import census
from holdfast.workers.census import birth_of_self, is_proved_dead, proved_dead

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def child():
    """A process that waits until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    yield process
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.kill()
    process.wait()


def birth_of(process):
    """Describe a process as its own row would."""
    here = birth_of_self()
    return replace(here, pid=process.pid, started_marker=census._start_of(process.pid))  # noqa: SLF001 -- what cannot be seen from outside


def test_a_living_process_is_not_dead(child):
    """Neither this one nor its child."""
    here = birth_of_self()
    assert here.machine_id
    assert here.started_marker
    assert not is_proved_dead(here, here)
    assert not is_proved_dead(birth_of(child), here)


def test_a_killed_process_is_dead_as_a_zombie_and_after(child):
    """A zombie holds its pid and runs nothing; reaped, its pid is free."""
    here, birth = birth_of_self(), birth_of(child)
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: is_proved_dead(birth, here), what="a zombie")
    child.wait()
    assert is_proved_dead(birth, here)
    assert [birth] == proved_dead([here, birth], here)


def test_a_pid_that_was_used_again_is_dead(child):
    """The same pid with another start is another process."""
    birth = replace(birth_of(child), started_marker="1")
    assert is_proved_dead(birth, birth_of_self())


@pytest.mark.parametrize("fields", [{"machine_id": "elsewhere"}, {"machine_id": ""}, {"started_marker": ""}])
def test_what_cannot_be_known_is_no_proof(fields):
    """Another machine, container or boot, or a row without these columns: the beats decide."""
    here = birth_of_self()
    assert not is_proved_dead(replace(here, pid=2**22 + 1, **fields), here)
    assert not is_proved_dead(replace(here, pid=2**22 + 1), replace(here, **{"machine_id": "", **fields}))


def test_a_machine_without_a_name_proves_nothing():
    """Where /proc does not tell, nobody is buried."""
    here = replace(birth_of_self(), machine_id="")
    assert not is_proved_dead(replace(here, pid=2**22 + 1), here)


@pytest.mark.parametrize("error", [PermissionError, OSError, FileNotFoundError])
def test_a_file_that_cannot_be_read_is_no_proof(child, monkeypatch, error):
    """Too many open files, or a /proc that hides others, says nothing about a process that is there."""
    here, birth = birth_of_self(), birth_of(child)

    def refuse(*_, **__):
        raise error("no")

    monkeypatch.setattr(census.Path, "read_text", refuse)
    assert not is_proved_dead(birth, here)


def test_an_odd_command_name_confuses_nobody():
    """The name stands in brackets in the middle of the line and may hold brackets and spaces itself."""
    program = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z (x', 0, 0, 0); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        try:
            assert not is_proved_dead(birth_of(process), birth_of_self())
        finally:
            process.kill()
