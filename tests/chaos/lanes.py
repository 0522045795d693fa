"""Plays cells side by side: lanes for busy cells, and one for those that mostly wait."""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from holdfast.tests.chaos import records
from holdfast.tests.chaos.catalogue import Cell, cells
from holdfast.tests.chaos.play import play
from holdfast.tests.chaos.scene import SharedServers

IDLE_LANES = 1
LEAVE_SECONDS = 15.0
MOST_REPETITIONS = 100
SECONDS_PER_CELL = 240.0
"""No cell takes nearly so long; one that does hangs, and ends the run."""


def play_all(
    missing: list[Cell],
    commit: str,
    lanes: int,
    tell: Callable[[str], object],
    *,
    idle_lanes: int = IDLE_LANES,
) -> None:
    """Play all of them and write each result; whatever ends this ends the lanes and their servers."""
    context = multiprocessing.get_context("spawn")
    busy, idle, done = context.Queue(), context.Queue(), context.Queue()
    for cell in missing:
        (idle if cell.fault.is_idle else busy).put(cell.name)
    # A lane that has nothing left of its own kind helps the other one.
    orders = [(busy, idle)] * lanes + [(idle, busy)] * idle_lanes
    running = [context.Process(target=_lane, args=(own, other, done, commit)) for own, other in orders]
    for process in running:
        process.start()
    try:
        _tell(len(missing), done, running, tell)
        for process in running:
            process.join(LEAVE_SECONDS)
    finally:
        _end(running)


def _tell(count: int, done: Any, running: list[BaseProcess], tell: Callable[[str], object]) -> None:
    for number in range(1, count + 1):
        name, record = _next(done, running)
        columns = {name: value for name, value in record["columns"].items() if value is not None}
        shown = " ".join(f"{name}={value}" for name, value in columns.items())
        tell(f"[{number}/{count}] {record['verdict']:4} {name} {record['seconds']} s: {shown}")
        for wrong in record["wrong"]:
            tell(f"    {wrong}")


def _next(done: Any, running: list[BaseProcess]) -> tuple[str, dict]:
    ends_at = time.monotonic() + SECONDS_PER_CELL
    while time.monotonic() < ends_at:
        try:
            return done.get(timeout=1.0)
        except queue.Empty:
            if not any(process.is_alive() for process in running):
                break
    raise RuntimeError("the lanes have ended, or hang, with cells still to be played")


def _end(running: list[BaseProcess]) -> None:
    """End the lanes; every server hangs on a leash that ends with its lane, however that ends."""
    for process in running:
        process.terminate()
    for process in running:
        process.join(LEAVE_SECONDS)
        process.kill()


def _lane(own: Any, other: Any, done: Any, commit: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    by_name = {cell.name: cell for cell in cells(repetitions=MOST_REPETITIONS)}
    shared = SharedServers()
    try:
        while (name := _take(own) or _take(other)) is not None:
            cell = by_name[name]
            record = play(cell, shared, commit)
            records.write(cell, record)
            done.put((name, record))
    except KeyboardInterrupt:
        sys.exit(1)
    finally:
        shared.close()


def _leave_with_parent() -> None:
    """End with the run, also when that was killed: nothing may go on that nobody waits for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _take(waiting: Any) -> str | None:
    try:
        return waiting.get(timeout=0.2)
    except queue.Empty:
        return None
