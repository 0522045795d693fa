"""What a limit on a queue's backlog costs: enqueue with one and without, and the count by itself.

One job a transaction, and hundred at a time, by one producer, into a queue in which `--jobs` wait; the limit
is just above them, which is the longest count. The sides alternate `--rounds` times; medians and spread.
PostgreSQL and SQLite, with fsync.

Run: `.venv/bin/python benchmarks/bench_backlog.py [--rounds 3] [--jobs 100000]`
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from holdfast import __version__
from holdfast.jobs.backlog import BacklogLimit
from holdfast.jobs.errors import QueueFull
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.statements import backlog
from holdfast.ledger.transaction import Transactions
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.builders import QUEUE, a_new_job
from holdfast.tests.support.servers import PostgresServer

RESULTS = Path(__file__).with_name("results") / "bench_backlog.json"
SINGLES = 500
BATCHES = 20
BATCH = 100
COUNTS = 20


def measured(config: LedgerConfig, jobs: int, rounds: int) -> dict[str, dict[str, float]]:
    """Fill a ledger, and measure both sides in turn."""
    migrate(config)
    room = jobs + rounds * 4 * (SINGLES + BATCHES * BATCH)
    limited = replace(config, backlog_limits={QUEUE: BacklogLimit(room, room, room)})
    full = replace(config, backlog_limits={QUEUE: BacklogLimit(jobs, jobs, jobs)})
    numbers: dict[str, list[float]] = {}
    with opened(config) as without, opened(limited) as within, opened(full) as refused:
        for _ in range(jobs // 1000):
            without.enqueue([a_new_job() for _ in range(1000)])
        # The first of a connection is slower.
        for ledger in (without, within):
            singles(ledger, 20)
        for _ in range(rounds):
            for side, ledger in (("no limit", without), ("limit", within)):
                numbers.setdefault(f"single, {side}: jobs/s", []).append(SINGLES / singles(ledger, SINGLES))
                seconds = batches(ledger)
                numbers.setdefault(f"batch of {BATCH}, {side}: jobs/s", []).append(BATCHES * BATCH / seconds)
            numbers.setdefault("refused: 1/s", []).append(SINGLES / refusals(refused))
            numbers.setdefault("a count: ms", []).append(1000 * count(without, config, jobs))
    return {name: spread(values) for name, values in numbers.items()}


@contextmanager
def opened(config: LedgerConfig) -> Iterator[Ledger]:
    """Open a ledger for a while."""
    ledger = connect(config)
    try:
        yield ledger
    finally:
        ledger.close()


def singles(ledger: Ledger, number: int) -> float:
    """Return the seconds that so many jobs take, one a transaction."""
    jobs = [a_new_job() for _ in range(number)]
    began = time.perf_counter()
    for job in jobs:
        ledger.enqueue([job])
    return time.perf_counter() - began


def batches(ledger: Ledger) -> float:
    """Return the seconds that the batches take."""
    all_jobs = [[a_new_job() for _ in range(BATCH)] for _ in range(BATCHES)]
    began = time.perf_counter()
    for jobs in all_jobs:
        ledger.enqueue(jobs)
    return time.perf_counter() - began


def refusals(ledger: Ledger) -> float:
    """Return the seconds that so many refusals take."""
    jobs = [a_new_job() for _ in range(SINGLES)]
    began = time.perf_counter()
    for job in jobs:
        try:
            ledger.enqueue([job])
        except QueueFull:
            continue
        raise RuntimeError("it was not full")
    return time.perf_counter() - began


def count(ledger: Ledger, config: LedgerConfig, most: int) -> float:
    """Return the seconds of one count up to `most`."""
    with ledger.session() as session:
        transactions = Transactions(session.connection().engine, schema=config.schema)
        asked = backlog.asked(QUEUE, 9, most)
        began = time.perf_counter()
        for _ in range(COUNTS):
            found = transactions.run(session.connection(), backlog.waiting(), asked).scalar_one()
        seconds = (time.perf_counter() - began) / COUNTS
    if found < most:
        raise RuntimeError(f"{found} wait, not {most}")
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Return the median and the ends."""
    return {
        "median": round(statistics.median(values), 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
    }


def main() -> None:
    """Measure both databases, print, keep the numbers."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--jobs", type=int, default=100_000)
    chosen = arguments.parse_args()
    summary: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sqlite = LedgerConfig(url=f"sqlite:///{folder}/ledger.db")
        summary["sqlite"] = measured(sqlite, chosen.jobs, chosen.rounds)
    with PostgresServer(fsync=True) as server:
        url = server.url_of(server.create_database())
        summary["postgresql"] = measured(LedgerConfig(url=url, schema="bench"), chosen.jobs, chosen.rounds)
    for database, numbers in summary.items():
        for name, values in numbers.items():
            print(f"{database:12}{name:32}{json.dumps(values)}")
    about = {
        "version": __version__,
        "waiting": chosen.jobs,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    RESULTS.write_text(json.dumps({"about": about, "summary": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
