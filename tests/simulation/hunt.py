"""Plays many seeds on all cores, and says what came of it. See `--help`.

With `--mutant` the production source is changed first, and the hunt is for
the first seed that notices. So what is played is imported late, in the
processes that play.
"""

import argparse
import faulthandler
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from holdfast.tests.simulation import records
from holdfast.tests.simulation.matrix import EVERY_CELL, Matrix
from holdfast.tests.simulation.mutants import MUTANTS
from holdfast.tests.simulation.patching import apply

SEEDS: Final = 20_000
_BATCH: Final = 4
_WORLD: Final = "holdfast.tests.simulation.world"
_WRITES_EVERY: Final = 250
_TELLS_EVERY: Final = 1000
_STUCK_SECONDS: Final = 120.0

_played: dict[str, Any] = {}


def main(arguments: list[str] | None = None) -> int:
    """Hunt, print, and return 0 if all is well: no seed fails, no cell is empty; or the mutant is caught."""
    asked = _parser().parse_args(arguments)
    seeds = range(asked.first, asked.first + asked.seeds)
    if asked.mutant:
        return _hunt_mutant(asked.mutant, seeds, asked.processes)
    diary = _Diary(asked.record, seeds)
    started, here = time.perf_counter(), 0
    for report in _reports(diary.left, None, asked.processes):
        if report.broken:
            diary.write()
            return _tell(report)
        here += 1
        diary.add(report)
        if diary.played % _TELLS_EVERY == 0:
            _say(f"{diary.played} seeds, {_rate(here, started)}")
    diary.write()
    _say(str(diary.matrix))
    _say(f"{diary.played} seeds, no promise broken; {_rate(here, started)}")
    empty = diary.matrix.empty() if len(seeds) >= len(EVERY_CELL) else []
    for cell in empty:
        _say(f"never met: {cell.transition}, {cell.point}")
    return 1 if empty else 0


class _Diary:
    """How far a hunt came, and what it met; kept in a file if there is one."""

    def __init__(self, path: Path | None, seeds: range) -> None:
        self.played = 0
        self.matrix = Matrix()
        self._path = path
        self._seeds = seeds
        if path is not None:
            import_module(_WORLD)
            self._program = records.program()
            next_one, cells = records.read(path, self._program, seeds.start)
            self.played, self.matrix = min(next_one, seeds.stop) - seeds.start, Matrix(cells)
            _say(f"program {self._program}: {self.played} of {len(seeds)} seeds are played")

    @property
    def left(self) -> range:
        """The seeds that are still to be played."""
        return self._seeds[self.played :]

    def add(self, report: Any) -> None:
        """Note a seed that broke nothing; they come in their order."""
        self.played += 1
        self.matrix.add(report.cells)
        if self.played % _WRITES_EVERY == 0:
            self.write()

    def write(self) -> None:
        """Keep it."""
        if self._path is not None:
            seeds = (self._seeds.start, self._seeds.start + self.played)
            records.write(self._path, self._program, seeds, self.matrix.counts)


def _hunt_mutant(name: str, seeds: range, processes: int) -> int:
    for played, report in enumerate(_reports(seeds, name, processes), start=1):
        if report.broken:
            _say(f"{name}: caught by seed {report.seed}, the {played}. that was played: {report.broken}")
            return 0
    _say(f"{name}: not caught in {len(seeds)} seeds")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hunt", description="Play seeds of the deterministic simulation.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument(
        "--mutant", choices=[mutant.name for mutant in MUTANTS], help="change production first"
    )
    parser.add_argument("--record", type=Path, help="a file to write to and, if it is there, to go on from")
    return parser


def _reports(seeds: range, mutant: str | None, processes: int) -> Iterator[Any]:
    if processes == 1 or len(seeds) == 1:
        _prepare(mutant)
        yield from map(_play, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes, _prepare, (mutant,)) as pool:
        yield from pool.imap(_play, seeds, _BATCH)


def _prepare(mutant: str | None) -> None:
    for known in MUTANTS:
        if known.name == mutant:
            apply(known)
    _played["run"] = import_module(_WORLD).run
    _played["database"] = import_module("holdfast.tests.simulation.database").Database()


def _play(seed: int) -> Any:
    # Fibers share one thread: a lock of the real world that two of them want holds up all, silently.
    faulthandler.dump_traceback_later(_STUCK_SECONDS, repeat=True)
    try:
        return _played["run"](_played["database"], seed)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _tell(failed: Any) -> int:
    for line in failed.story:
        _say(line)
    _say(f"seed {failed.seed}: {failed.broken}")
    _say(f"Tell it again: python -m holdfast.tests.simulation.hunt --first {failed.seed} --seeds 1")
    return 1


def _rate(played: int, started: float) -> str:
    return f"{played / (time.perf_counter() - started):.1f} seeds/s"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
