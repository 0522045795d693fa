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
from typing import Any, Final

from holdfast.tests.simulation.matrix import EVERY_CELL, Matrix
from holdfast.tests.simulation.mutants import MUTANTS
from holdfast.tests.simulation.patching import apply

SEEDS: Final = 20_000
_BATCH: Final = 4
_TELLS_EVERY: Final = 1000
_STUCK_SECONDS: Final = 120.0

_played: dict[str, Any] = {}


def main(arguments: list[str] | None = None) -> int:
    """Hunt, print, and return 0 if all is well: no seed fails, no cell is empty; or the mutant is caught."""
    asked = _parser().parse_args(arguments)
    seeds = range(asked.first, asked.first + asked.seeds)
    started = time.perf_counter()
    matrix, played, failed = Matrix(), 0, None
    for report in _reports(seeds, asked.mutant, asked.processes):
        played += 1
        matrix.add(report.cells)
        if report.broken:
            failed = report
            break
        if played % _TELLS_EVERY == 0:
            _say(f"{played} seeds, {_rate(played, started)}")
    if asked.mutant:
        return _judge_mutant(asked.mutant, failed, played)
    if failed is not None:
        return _tell(failed)
    _say(str(matrix))
    _say(f"{played} seeds, no promise broken; {_rate(played, started)}")
    empty = matrix.empty() if len(seeds) >= len(EVERY_CELL) else []
    for cell in empty:
        _say(f"never met: {cell.transition}, {cell.point}")
    return 1 if empty else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hunt", description="Play seeds of the deterministic simulation.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument(
        "--mutant", choices=[mutant.name for mutant in MUTANTS], help="change production first"
    )
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
    _played["run"] = import_module("holdfast.tests.simulation.world").run
    _played["database"] = import_module("holdfast.tests.simulation.database").Database()


def _play(seed: int) -> Any:
    # Fibers share one thread: a lock of the real world that two of them want holds up all, silently.
    faulthandler.dump_traceback_later(_STUCK_SECONDS, repeat=True)
    try:
        return _played["run"](_played["database"], seed)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _judge_mutant(name: str, failed: Any, played: int) -> int:
    if failed is None:
        _say(f"{name}: not caught in {played} seeds")
        return 1
    _say(f"{name}: caught by seed {failed.seed}, the {played}. that was played: {failed.broken}")
    return 0


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
