"""`python -m holdfast.tests.chaos`: play the cells that are still to be played, and write the table.

Each cell is one JSON file (see `records.py`). A cell that was played with this very program is not
played again, so a run that was broken off goes on where it was. Who was late beside others is
played once more, alone. Exit code 0: every cell passed.
"""

import argparse
import signal
import sys
import time

from holdfast.tests.chaos import records, table
from holdfast.tests.chaos.catalogue import FAULTS, STACKS, Cell, cells
from holdfast.tests.chaos.lanes import play_all
from holdfast.tests.support import clocks

CLOCKS = {"F14", "clock-behind", "clock-ahead", "clock-jumps"}
LANES = 2


def main(arguments: list[str] | None = None) -> int:
    """Play, print, write the table."""
    asked = _parser().parse_args(arguments)
    # Also in the background, where a shell has SIGINT ignored: both end the lanes and all that they started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    commit = records.commit()
    wanted = [cell for cell in cells(asked.repetitions) if _is_wanted(cell, asked)]
    missing = [cell for cell in wanted if asked.again or not _is_played(cell, commit)]
    _say(f"{len(wanted)} cells, {len(wanted) - len(missing)} of them played with {commit} before")
    missing = [cell for cell in missing if _can_be_played(cell)]
    started = time.monotonic()
    play_all(missing, commit, asked.lanes, _say)
    late = [cell for cell in missing if (record := records.read(cell)) and table.is_late(record)]
    if late:
        # The bound is for a machine with nothing else to do, and two others were playing.
        _say(f"{len(late)} were late beside others: once more, one at a time")
        play_all(late, commit, 1, _say, idle_lanes=0)
    found = {cell: records.read(cell) for cell in wanted}
    failed = [cell for cell, record in found.items() if record is None or record["verdict"] != "pass"]
    if not asked.no_table:
        table.write()
    _say(f"{len(wanted) - len(failed)} of {len(wanted)} cells pass; {time.monotonic() - started:.0f} s")
    for cell in failed:
        record = found[cell]
        _say(f"{cell.name}: {'not played' if record is None else '; '.join(record['wrong'])[:300]}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=3, help="how often each cell is played")
    parser.add_argument(
        "--fault", action="append", choices=[fault.name for fault in FAULTS], help="only these"
    )
    parser.add_argument(
        "--stack", action="append", choices=[stack.name for stack in STACKS], help="only these"
    )
    parser.add_argument("--lanes", type=int, default=LANES, help="how many busy cells at a time")
    parser.add_argument("--again", action="store_true", help="play also what was played with this program")
    parser.add_argument("--no-table", action="store_true", help="leave docs/guarantees.md alone")
    return parser


def _is_wanted(cell: Cell, asked: argparse.Namespace) -> bool:
    return (not asked.fault or cell.fault.name in asked.fault) and (
        not asked.stack or cell.stack.name in asked.stack
    )


def _is_played(cell: Cell, commit: str) -> bool:
    record = records.read(cell)
    return record is not None and record["commit"] == commit


def _can_be_played(cell: Cell) -> bool:
    if cell.fault.name in CLOCKS and clocks.compiler() is None:
        _say(f"{cell.name}: left out, needs a C compiler")
        return False
    return True


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
