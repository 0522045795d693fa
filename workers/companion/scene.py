"""How a process died, and what can be known of what it did in that moment."""

import os
import re
import signal
from dataclasses import dataclass
from typing import Final

PROOFS: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS}
)
"""Signals that code in the process brings upon it; nobody sends them to stop a worker."""
LONGEST_TRACE: Final = 8_000
_CURRENT: Final = re.compile(r"^Current thread 0x([0-9a-f]+)[^\n]*\n((?:  [^\n]*\n)*)", re.MULTILINE)
_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>\S+)', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process, as its parent saw it."""

    how: str
    """The name of the signal, or the exit code in words."""
    peak_mb: float
    """The most memory that it held at once (resident set)."""
    is_proof: bool
    """It came from inside: what ran there is to be suspected (B11)."""
    is_out_of_memory: bool = False
    is_stuck: bool = False
    """Its loop stood still, so its companion killed it."""
    crashed_thread: int | None = None
    """The identity of the thread that died, where the process could still say it."""
    trace: str = ""
    """What that thread did, in the interpreter's words."""

    @property
    def words(self) -> str:
        """Say it to people, in one line."""
        if self.is_stuck:
            cause = "was stuck and was killed"
        elif self.is_out_of_memory:
            cause = f"was killed out of memory ({self.how})"
        else:
            cause = f"died of {self.how}"
        frame = _FRAME.search(self.trace)
        place = f", in {frame['name']} ({os.path.basename(frame['file'])}:{frame['line']})" if frame else ""  # noqa: PTH119 -- a text from a dead process, no path of ours
        return f"its process {cause} with {self.peak_mb:.0f} MB at its peak{place}"


def death_of(
    status: int,
    peak_mb: float,
    *,
    trace: str = "",
    is_out_of_memory: bool = False,
    is_stuck: bool = False,
    is_leaving: bool = False,
) -> Death:
    """Read a wait status.

    `is_out_of_memory`: the kernel's count of such kills was raised meanwhile.
    `is_leaving`: the interpreter was ending in good order; an exit without
    that came from code that called the system's own exit.
    """
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    killed_by_memory = number == signal.SIGKILL and is_out_of_memory and not is_stuck
    found = _CURRENT.search(trace)
    return Death(
        how=how(status),
        peak_mb=peak_mb,
        is_proof=is_stuck or killed_by_memory or (number in PROOFS if number else not is_leaving),
        is_out_of_memory=killed_by_memory,
        is_stuck=is_stuck,
        crashed_thread=int(found[1], 16) if found else None,
        trace=found[0][:LONGEST_TRACE] if found else "",
    )


def how(status: int) -> str:
    """Name the signal, or the exit code."""
    if not os.WIFSIGNALED(status):
        return f"exit code {os.waitstatus_to_exitcode(status)}"
    try:
        return signal.Signals(os.WTERMSIG(status)).name
    except ValueError:
        return f"signal {os.WTERMSIG(status)}"
