"""An outage of an upstream in a model: our breaker, ramp, releaser and decision, beside what others do.

    make simulate-outage            or    python benchmarks/simulate_outage.py [--seeds 20] [--quick]

What is modelled is said in `tests/support/outage/world.py`. The worst of the seeds is judged; exit code 1
where a target is missed. Exponential backoff, a breaker per process and no protection play three seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from holdfast.tests.support.outage.account import Account, account
from holdfast.tests.support.outage.ours import Ours
from holdfast.tests.support.outage.policies import Constant, FullJitter, OnePerProcess
from holdfast.tests.support.outage.world import DOWN, UP, Policy, Run, World
from holdfast.tests.support.picture import curves

OTHERS: tuple[tuple[str, Callable[[], Policy]], ...] = (
    ("breaker per process", OnePerProcess),
    ("full jitter", FullJitter),
    ("no protection", Constant),
)
FEW_SEEDS = 3
DRAWN_SECONDS = 400


@dataclass(frozen=True, slots=True)
class Load:
    """How many jobs come, and what the upstream may cost at most."""

    jobs_a_second: float
    rejection_cost: float
    most_drain: float
    """Over the ideal."""


LOADS = (Load(40.0, 0.15, 1.5), Load(60.0, 0.05, 1.6))
MOST_DOWN, MOST_AFTER, MOST_PEAK, MOST_CALLS = 70, 120, 1.3, 1.02


def play(make: Callable[[], Policy], load: Load, seed: int) -> Run:
    """Play one run."""
    world = World(make(), seed=seed, jobs_a_second=load.jobs_a_second, rejection_cost=load.rejection_cost)
    return world.play()


def judged(make: Callable[[], Policy], load: Load, seed: int) -> Account:
    """Play one run, and add up."""
    return account(play(make, load, seed), load.jobs_a_second)


def missed(load: Load, accounts: Sequence[Account]) -> list[str]:
    """Say which targets the worst of the runs misses."""
    checks = {
        f"wasted while down: {max(one.wasted_down for one in accounts)} > {MOST_DOWN}":
            all(one.wasted_down <= MOST_DOWN for one in accounts),
        f"wasted afterwards: {max(one.wasted_after for one in accounts)} > {MOST_AFTER}":
            all(one.wasted_after <= MOST_AFTER for one in accounts),
        f"peak: {max(one.peak for one in accounts):.2f} > {MOST_PEAK}":
            all(one.peak <= MOST_PEAK for one in accounts),
        f"drain: {max(one.drain_ratio for one in accounts):.2f} > {load.most_drain}":
            all(one.drain_ratio <= load.most_drain for one in accounts),
        f"calls a job: {max(one.calls_a_job for one in accounts):.3f} > {MOST_CALLS}":
            all(one.calls_a_job <= MOST_CALLS for one in accounts),
        f"lost: {max(one.lost for one in accounts)}": all(one.lost == 0 for one in accounts),
    }  # fmt: skip
    return [f"{load.jobs_a_second:g} jobs/s: {what}" for what, is_met in checks.items() if not is_met]


def line(name: str, accounts: Sequence[Account]) -> str:
    """Say what the runs of a policy came to: the worst, and the median behind it."""

    def both(values: list[float], form: str) -> str:
        return f"{format(max(values), form):>9} ({format(statistics.median(values), form)})"

    return (
        f"  {name:<20}"
        + both([float(one.wasted_down) for one in accounts], ".0f").ljust(20)
        + both([float(one.wasted_after) for one in accounts], ".0f").ljust(22)
        + both([one.peak for one in accounts], ".2f").ljust(18)
        + both([one.drain_ratio for one in accounts], ".2f").ljust(18)
        + both([one.calls_a_job for one in accounts], ".3f").ljust(20)
        + f"{max(one.lost for one in accounts):>6}"
    )


def picture(load: Load) -> str:
    """Draw the calls of each second of one run of each policy."""
    lines = []
    for name, make in (("Holdfast", Ours), *OTHERS):
        calls = play(make, load, 1).calls
        lines.append((name, [float(calls[second]) for second in range(DRAWN_SECONDS)]))
    return curves(lines, unit="calls a second", marks=[(DOWN, "down"), (UP, "back at 30 %")])


def main() -> int:
    """Play, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="three seeds of ours alone")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--picture", type=Path, help="draw the four curves there")
    options = parser.parse_args()
    seeds = range(1, 1 + (FEW_SEEDS if options.quick else options.seeds))
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    misses: list[str] = []
    with ProcessPoolExecutor(2) as pool:
        for load in LOADS:
            print(f"\n{load.jobs_a_second:g} jobs a second, the worst of the seeds (the median)")
            heads = ("wasted, down", "wasted, after", "peak x", "drain x ideal", "calls/job", "lost")
            print(f"  {'':<20}" + "".join(head.ljust(19) for head in heads))
            ours = list(pool.map(partial(judged, Ours, load), seeds))
            print(line(f"Holdfast, {len(seeds)} seeds", ours), flush=True)
            misses += missed(load, ours)
            found = {"Holdfast": ours}
            for name, make in () if options.quick else OTHERS:
                found[name] = list(pool.map(partial(judged, make, load), range(1, 1 + FEW_SEEDS)))
                print(line(name, found[name]), flush=True)
            results[f"{load.jobs_a_second:g}"] = {
                name: [asdict(one) for one in accounts] for name, accounts in found.items()
            }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.picture:
        options.picture.write_text(picture(LOADS[0]), encoding="utf-8")
    print("\n" + ("every target is met" if not misses else "MISSED: " + "; ".join(misses)))
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main())
