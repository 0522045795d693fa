"""Run a program that cannot outlive its supervisor.

    python -I -S leash.py PARENT [--watch] -- PROGRAM ARGUMENT...

On Linux this process asks the kernel to be killed when its parent dies and
then becomes the program: no process more, no time lost, and the program keeps
the number that the supervisor knows. Elsewhere (and with --watch) it stays,
looks after its parent twice a second, and kills the program when the parent
is gone. Uses the standard library only, so that it starts in milliseconds.

The kernel's promise is about the *thread* that started us: the supervisor
starts its children from one thread that lives as long as they do.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.5
CANNOT_RUN = 127


def main(arguments: list[str]) -> int:
    """Become the program, or stay and watch; the exit code is the program's."""
    split = arguments.index("--")
    parent, *options = arguments[:split]
    program = arguments[split + 1 :]
    try:
        if sys.platform == "linux" and "--watch" not in options:
            return _become(int(parent), program)
        return _watch(int(parent), program)
    except OSError as error:
        sys.stderr.write(f"{program[0]} cannot be run: {error.strerror}\n")
        return CANNOT_RUN


def _become(parent: int, program: list[str]) -> int:
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(0, "the kernel does not tie it to its supervisor")
    if os.getppid() != parent:  # it died before we could ask
        return -signal.SIGKILL
    return os.execv(program[0], program)  # noqa: S606 -- a program of our own making, no shell


def _watch(parent: int, program: list[str]) -> int:
    child = subprocess.Popen(program)  # noqa: S603 -- as above
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    while os.getppid() == parent:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(LOOK_SECONDS)
    child.kill()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
