"""The command line as a user runs it: a process with its own data folder, always cleaned up."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from holdfast.tests.support.waiting import until

END_SECONDS = 30.0


class CommandLine:
    """One run of `holdfast ...`; use it as a context manager. What it started is killed at the end."""

    def __init__(self, *arguments: str, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._output_path = folder / f"output-{id(self)}.txt"
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("HOLDFAST_")}
        with self._output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "holdfast.cli.entry", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**inherited, "HOLDFAST_PROBE_PORT": "0", **(settings or {})},
            )
        self._known: dict[int, psutil.Process] = {}

    @property
    def output(self) -> str:
        """What it has printed so far, errors included."""
        return self._output_path.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[psutil.Process]:
        """The processes below it that live now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._known[child.pid] = child
        return [child for child in self._known.values() if is_alive(child)]

    def child(self, word: str) -> psutil.Process | None:
        """The child whose command line holds a word, once it has become that program."""
        for child in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                line = child.cmdline()
                if word in " ".join(line) and not any(part.endswith("leash.py") for part in line):
                    return child
        return None

    def worker(self) -> psutil.Process | None:
        """The process of a worker that runs handlers; its parent is its companion."""
        found = self.child("holdfast.workers.app")
        with contextlib.suppress(psutil.NoSuchProcess):
            below = found.children() if found is not None else []
            return below[0] if below else found
        return None

    def until_said(self, text: str, *, timeout_seconds: float = END_SECONDS) -> None:
        """Wait until it has printed a text; fail at once when it ends without."""

        def said() -> bool:
            if text in self.output:
                return True
            assert self.process.poll() is None, f"ended without saying {text!r}:\n{self.output}"
            return False

        until(said, timeout_seconds=timeout_seconds, what=f"{text!r} in:\n{self.output}")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the command alone."""
        self.process.send_signal(number)

    def end(self, timeout_seconds: float = END_SECONDS) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        left = self.children()
        self.process.kill()
        self.process.wait(END_SECONDS)
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; what only waits to be collected does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
