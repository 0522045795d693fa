"""One process of the platform: started on a leash, ended in good order or by force."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.cli.supervisor import logs

LEASH: Final = Path(__file__).with_name("leash.py")
STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, and how to end it."""

    name: str
    argv: tuple[str, ...]
    """The first is an absolute path."""
    log_path: Path
    environment: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])
    """On top of ours; may hold secrets."""
    stdin: bytes = field(repr=False, default=b"")
    """Given to the program at each start; may hold secrets."""
    stop_seconds: float = STOP_SECONDS
    """From SIGTERM to SIGKILL."""
    hurry_seconds: float = 0.0
    """From a second SIGTERM, which says to hurry, to SIGKILL; 0: it does not know such a signal."""
    rank: int = 0
    """Children of the highest rank are stopped first, those of one rank together."""


class Child:
    """A process that is started once; the supervisor makes a new one for each start."""

    def __init__(self, spec: ChildSpec) -> None:
        """Start it. Must be called on a thread that outlives the child (see leash.py). Raises OSError."""
        self.spec = spec
        self.started_at = time.monotonic()
        logs.rotate(spec.log_path)
        self._log_begins = logs.size(spec.log_path)
        with spec.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- programs and arguments of our own making
                [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), "--", *spec.argv],
                stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.environment},
                # Ctrl-C on the terminal is for the supervisor, which stops its children in order.
                start_new_session=True,
            )
        self._feed()

    @property
    def pid(self) -> int:
        """The number of the process; on Linux the program's own."""
        return self._process.pid

    @property
    def life_seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.started_at

    def exit_code(self) -> int | None:
        """Return how it ended, as subprocess says it (negative: by a signal); None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        if self.exit_code() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once, with what it started."""
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def last_lines(self) -> tuple[str, ...]:
        """Return the last lines of its log that it wrote itself."""
        return logs.last_lines(self.spec.log_path, since=self._log_begins)

    def _feed(self) -> None:
        if self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it died at once: the log says why
            self._process.stdin.write(self.spec.stdin)
            self._process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def describe_end(exit_code: int) -> str:
    """Say in words how a process ended."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"was killed by signal {-exit_code}"
