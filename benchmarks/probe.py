"""How long `holdfast probe live` takes, beside `python -c pass` in the same run.

    python benchmarks/probe.py [ROUNDS]

Starts a probe server in this process and asks it from fresh processes: through the console script
where one is installed beside this Python, through the module that it calls, and through the
heartbeat file. The budget is 50 ms of wall time on an idle machine; most of it is Python's start.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from holdfast.tests.support.vitals import SetVitals
from holdfast.workers.probes import Probes
from holdfast.workers.vitals import VitalLimits

ROUNDS = 40
BUDGET_MS = 50.0
AS_SCRIPT = "import sys; from holdfast.cli.entry import main; sys.exit(main())"


def measure(commands: dict[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Run each command once per round, in turn, so that a busy moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken[name].append(1000 * (time.perf_counter() - started))
    return taken


def main() -> None:
    """Print a table of medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "worker.heartbeat"
        probes = Probes(SetVitals(), limits=VitalLimits(), heartbeat_file=file)
        probes.start()
        port = str(probes.port)
        commands: dict[str, Sequence[str]] = {
            "python -c pass": (python, "-c", "pass"),
            "probe, by port": (python, "-c", AS_SCRIPT, "probe", "live", "--port", port),
            "probe, by file": (python, "-c", AS_SCRIPT, "probe", "live", "--file", str(file)),
        }
        script = Path(python).with_name("holdfast")
        if script.exists() and "cli.entry" in script.read_text(encoding="utf-8"):
            commands["holdfast probe live"] = (str(script), "probe", "live", "--port", port)
        try:
            taken = measure(commands, rounds)
        finally:
            probes.stop()
    bare = statistics.median(taken["python -c pass"])
    print(f"{'command':<22}{'median ms':>11}{'p90 ms':>9}{'x python':>10}{'over python':>13}")
    for name, times in taken.items():
        median = statistics.median(times)
        worst = statistics.quantiles(times, n=10)[-1]
        print(f"{name:<22}{median:>11.1f}{worst:>9.1f}{median / bare:>10.2f}{median - bare:>10.1f} ms")
    print(f"\nbudget {BUDGET_MS:g} ms; {rounds} rounds, commands in turn")


if __name__ == "__main__":
    main()
