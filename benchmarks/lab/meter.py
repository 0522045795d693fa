"""CPU seconds and memory of processes and all that they started."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds so far, of the worker's processes and of the servers behind them."""

    worker: float
    server: float

    def since(self, before: "Cpu") -> "Cpu":
        """Return what was spent since then."""
        return Cpu(self.worker - before.worker, self.server - before.server)


def cpu(workers: Iterable[int], servers: Iterable[int]) -> Cpu:
    """Read it now."""
    return Cpu(_seconds(workers), _seconds(servers))


def pss_megabytes(pids: Iterable[int]) -> float:
    """Return the proportional set size: memory that is shared counts in parts."""
    total = 0.0
    for process in _family(pids):
        try:
            total += process.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    return total


class Peak:
    """The largest memory that processes had, looked at ten times a second."""

    def __init__(self, pids: Iterable[int]) -> None:
        """Begin to look."""
        self._pids = tuple(pids)
        self.megabytes = pss_megabytes(self._pids)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Look no more, and return it."""
        self._stop.set()
        self._thread.join()
        return self.megabytes

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            self.megabytes = max(self.megabytes, pss_megabytes(self._pids))


def _seconds(pids: Iterable[int]) -> float:
    total = 0.0
    for root in pids:
        try:
            process = psutil.Process(root)
            ended = process.cpu_times()
            total += ended.children_user + ended.children_system
            total += sum(_own_seconds(one) for one in (process, *process.children(recursive=True)))
        except psutil.Error:
            continue
    return total


def _own_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _family(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for root in pids:
        try:
            process = psutil.Process(root)
            yield process
            yield from process.children(recursive=True)
        except psutil.Error:
            continue
