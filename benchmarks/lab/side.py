"""What a workload asks of a queue, so that all of them are asked for the same."""

import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import psutil

from lab.handlers import TEXT

Kind = Literal["noop", "work", "wait"]
"""A handler that returns at once; one of 2 ms CPU with 1 KB of arguments; one that waits a second."""

Job = tuple[str, int]
"""A job: the file of stamps, and its number in it."""


class Side(ABC):
    """One queue with servers of its own, for the length of a block."""

    name: ClassVar[str]
    settings: ClassVar[dict[str, str]]
    """What buys or sells durability."""
    scale: ClassVar[float]
    """How many jobs it is given for each of ours: about as many as it drains in the same time."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, which is thrown away."""
        self.folder = folder
        self.workers: list[int] = []
        """The processes that were started to work; each with children."""

    @property
    @abstractmethod
    def servers(self) -> Sequence[int]:
        """The server processes behind it."""

    @abstractmethod
    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Start the servers, be a producer, and end with all that was started."""

    @abstractmethod
    def start_worker(self, kind: Kind, processes: int) -> None:
        """Start workers for one kind of job, and wait until they are ready."""

    @abstractmethod
    def enqueue(self, kind: Kind, job: Job) -> None:
        """Hand in one."""

    @abstractmethod
    def enqueue_many(self, kind: Kind, jobs: Sequence[Job], delay_seconds: float = 0.0) -> None:
        """Hand in many, in the fastest way that it offers."""

    @abstractmethod
    def ask(self, job: Job) -> None:
        """Hand in a `noop`, and return when its result is there."""

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Let the workers stand still, so that what is handed in waits until all of it is there."""
        held = [child for pid in self.workers for child in _tree(pid)]
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(held):
                os.kill(pid, signal.SIGCONT)


def _tree(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def arguments(kind: Kind, job: Job) -> tuple[object, ...]:
    """Return what the handler is called with."""
    return (*job, TEXT) if kind == "work" else job


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a worker to leave, and do not wait for ever."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
