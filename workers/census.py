"""Proof of death: a process of this machine that is gone (B5).

A worker that crashed on our own machine need not be waited for: its pid is
free, or belongs to a process that started at another time. Linux only;
elsewhere the beats decide.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.jobs.job import WorkerRow

_STAT = "/proc/{pid}/stat"
_START_TIME_FIELD = 19
"""Of the fields after the command's closing parenthesis: field 22 of proc_pid_stat(5)."""
_PARENT_FIELD = 1


@dataclass(frozen=True, slots=True)
class Birth:
    """What identifies a process on its machine: where its pid means something, and when it began."""

    machine_id: str
    """The machine's boot and the pid namespace; empty where that is unknown."""
    pid: int
    started_marker: str
    """Start in clock ticks since boot."""


def birth_of_self() -> Birth:
    """Describe this process."""
    pid = os.getpid()
    try:
        started = _start_of(pid)
    except OSError:
        started = None
    return Birth(_machine_id(), pid, started or "")


def birth_of(worker: WorkerRow) -> Birth:
    """Return what a worker's row says of its process."""
    return Birth(worker.machine_id, worker.pid, worker.started_marker)


def is_proved_dead(birth: Birth, here: Birth) -> bool:
    """Tell whether a process of this same machine and namespace is certainly gone; False when in doubt."""
    if not here.machine_id or birth.machine_id != here.machine_id or not birth.started_marker:
        return False
    try:
        return _start_of(birth.pid) != birth.started_marker
    except OSError:
        # Too many open files, no permission: that says nothing about the other process.
        return False


def proved_dead(births: Sequence[Birth], here: Birth) -> list[Birth]:
    """Return those that are certainly gone."""
    return [birth for birth in births if is_proved_dead(birth, here)]


def parent_of(pid: int) -> int | None:
    """Return the pid of a process's parent on this machine; None if that cannot be known."""
    try:
        stat = Path(_STAT.format(pid=pid)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_PARENT_FIELD])


def _machine_id() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_of(pid: int) -> str | None:
    """Return when a process began, None if it is gone; raises OSError when that cannot be known."""
    try:
        stat = Path(_STAT.format(pid=pid)).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        if _is_there(pid):
            # /proc may hide the processes of others (hidepid).
            raise
        return None
    fields = stat.rpartition(")")[2].split()
    # A zombie holds its pid but runs nothing any more.
    if fields[:1] == ["Z"]:
        return None
    return fields[_START_TIME_FIELD]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
