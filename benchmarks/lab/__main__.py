"""Runs workloads on all sides in turn, prints medians and spread, and keeps the numbers.

    PYTHONPATH=benchmarks python -m lab [--quick] [--rounds N] [--only W1 W3] [--sides postgres celery]
        [--json FILE] [--picture FILE]

The sides take turns within each round, so that a busy moment of the machine hits all of them.
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import psutil

from holdfast import __version__
from lab.celery_side import CelerySide
from lab.holdfast_side import OnPostgres, OnSqlite
from lab.huey_side import HueySide
from lab.picture import bars
from lab.side import Side
from lab.workloads import FULL, QUICK, WORKLOADS, Numbers, opener

SIDES: dict[str, type[Side]] = {
    "postgres": OnPostgres, "sqlite": OnSqlite, "celery": CelerySide, "huey": HueySide,
}  # fmt: skip
Measured = dict[str, dict[str, list[Numbers]]]


def main() -> None:
    """Measure, print, keep."""
    asked = _parser().parse_args()
    # Workers have other working directories, and import the lab as well.
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    measured: Measured = {name: {side: [] for side in asked.sides} for name in asked.only}
    for number in range(asked.rounds):
        for name in asked.only:
            for side in asked.sides:
                numbers = WORKLOADS[name](opener(SIDES[side]), QUICK if asked.quick else FULL)
                measured[name][side].append(numbers)
                print(f"round {number + 1}, {name}, {SIDES[side].name}: {_brief(numbers)}", flush=True)
    print()
    for name, sides in measured.items():
        print(_table(name, sides))
    if asked.json is not None:
        asked.json.write_text(json.dumps(_record(asked, measured), indent=1) + "\n", encoding="utf-8")
    if asked.picture is not None:
        named = {
            name: {SIDES[side].name: rounds for side, rounds in sides.items()}
            for name, sides in measured.items()
        }
        asked.picture.write_text(bars(named), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="workloads")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="queues")
    parser.add_argument("--json", type=Path, help="where to keep the numbers")
    parser.add_argument("--picture", type=Path, help="where to draw the medians")
    return parser


def _brief(numbers: Numbers) -> str:
    return "; ".join(f"{name} {value:.3g}" for name, value in numbers.items())


def _table(name: str, sides: dict[str, list[Numbers]]) -> str:
    what = (WORKLOADS[name].__doc__ or "").strip()
    lines = [what, f"{'':32}" + "".join(f"{SIDES[side].name:>30}" for side in sides)]
    for number in next(iter(sides.values()))[0]:
        cells = [_spread([one[number] for one in rounds]) for rounds in sides.values()]
        lines.append(f"{number:32}" + "".join(f"{cell:>30}" for cell in cells))
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    median = statistics.median(values)
    return (
        f"{median:,.3g} ({min(values):,.3g} to {max(values):,.3g})" if len(values) > 1 else f"{median:,.4g}"
    )


def _record(asked: argparse.Namespace, measured: Measured) -> dict[str, Any]:
    memory = round(psutil.virtual_memory().total / 2**30)
    about = {
        "version": __version__,
        "size": "quick" if asked.quick else "full",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory} GB",
        "python": platform.python_version(),
        "settings": {SIDES[side].name: SIDES[side].settings for side in asked.sides},
    }
    return {"about": about, "rounds": measured}


if __name__ == "__main__":
    main()
