"""Run one server and end it, with everything it started, when the test run goes away.

    python -I -S leash.py LOGFILE [--user NAME] -- PROGRAM ARGUMENT...

Standard input is the leash: the test run holds its other end, and the kernel
closes it however the test run dies, also by SIGKILL. Then, and when a byte
arrives, and when the program itself ends, every descendant gets SIGKILL,
daemons included: on Linux this process adopts the orphans below it. Where no
byte came, the folder of the log file is removed too, since nobody else will.
The program's number goes to standard output, its own output to the log file.

Uses the standard library only, so that it starts in a few milliseconds.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
FOREVER_SILENT = b""


def main(arguments: list[str]) -> int:
    """Hold the program until either end of the leash is gone; exit with the program's code."""
    split = arguments.index("--")
    log_path, *options = arguments[:split]
    _adopt_orphans()
    wakeup = _wakeup_at_child_exit()
    with Path(log_path).open("ab") as log:
        user = options[1] if options else None
        program = subprocess.Popen(
            arguments[split + 1 :],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    print(program.pid, flush=True)  # noqa: T201  the protocol with processes.py
    word = None
    while program.poll() is None and word is None:
        word = _hear(wakeup)
    _kill_descendants(program)
    if word == FOREVER_SILENT:
        shutil.rmtree(Path(log_path).parent, ignore_errors=True)
    return program.wait()


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wakeup_at_child_exit() -> int:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _hear(wakeup: int) -> bytes | None:
    ready, _, _ = select.select([0, wakeup], [], [])
    if wakeup in ready:
        with contextlib.suppress(BlockingIOError):
            os.read(wakeup, 4096)
    return os.read(0, 1) if 0 in ready else None


def _kill_descendants(program: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if program.returncode is None:
            os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    while children := _children():
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """List direct children; the children of those that die become ours in the next round."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
        return [int(number) for number in text.split()]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
