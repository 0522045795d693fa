"""What it costs to look at a large ledger and to steer in it.

Lists, counts, an overview, bulk verbs and a prune among `--jobs` jobs. Of a hundred, 85 are completed, five
are in the quarantine and ten wait; one of a thousand has the tag that is asked for. PostgreSQL and SQLite,
with fsync.

Run: `.venv/bin/python benchmarks/bench_inspection.py [--jobs 1000000]`
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import text

from holdfast import __version__
from holdfast.jobs.retention import RetentionPolicy
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import Ledger, LedgerConfig, connect
from holdfast.ledger.job_filter import EVERY_JOB, JobFilter
from holdfast.ledger.upgrade import migrate
from holdfast.tests.support.builders import a_new_job, a_worker, an_offer
from holdfast.tests.support.servers import PostgresServer

RESULTS = Path(__file__).with_name("results") / "bench_inspection.json"
TAG = "import-7"
AT_ONCE = 10_000
REPEATED = 5
COMPLETED, ENDED_AT_ALL = 85, 90
"""Of a hundred."""
ENDED = "next_ring_at = NULL, finished_at = '2026-01-01T00:00:00.000000Z'"
"""Not within the last minute, whose ends an overview counts."""
STATES = (
    (f"state = 'completed', result = '1', {ENDED}", "priority < 8"),
    (f"state = 'quarantined', reason = 'permanent', {ENDED}, failure = :failure", "priority = 8"),
    (
        "state = 'parked', next_ring_at = NULL, waiting_for = 'upstream:search'",
        "priority = 9 AND tenant = 'parked'",
    ),
    (
        "state = 'scheduled', next_ring_at = NULL",
        "priority = 9 AND tenant = 'scheduled'",
    ),
)
"""What becomes of jobs, and which: their priorities and tenants are their lots here."""
FAILURE = json.dumps({"type": "ValueError", "message": "no such customer", "traceback": "line\n" * 200})


def fill(ledger: Ledger, jobs: int, schema: str | None) -> None:
    """Write jobs, and make of them what the page says."""
    for start in range(0, jobs, AT_ONCE):
        ledger.enqueue([_job(number) for number in range(start, min(start + AT_ONCE, jobs))])
    with ledger.session() as session:
        if schema is not None:
            session.execute(text(f"SET LOCAL search_path TO {schema}"))
            session.execute(text("SET LOCAL statement_timeout TO 0"))
        for values, condition in STATES:
            statement = text(f"UPDATE jobs SET {values} WHERE {condition}")  # noqa: S608 -- our own words
            session.execute(statement, {"failure": FAILURE} if ":failure" in values else {})
        session.commit()
    if schema is not None:
        with ledger.session() as session:
            session.execute(text(f"ANALYZE {schema}.jobs"))
            session.execute(text(f"ANALYZE {schema}.job_tags"))
            session.commit()


def _job(number: int) -> object:
    lot = number % 100
    priority = 0 if lot < COMPLETED else 8 if lot < ENDED_AT_ALL else 9
    tenant = {98: "parked", 99: "scheduled"}.get(lot)
    return a_new_job(
        priority=priority,
        tenant=tenant,
        task=f"task.{lot % 10}",
        queue="mail" if lot % 2 else "default",
        tags=(TAG,) if number % 1000 == 0 else (),
    )


def measured(config: LedgerConfig, jobs: int) -> dict[str, float]:
    """Fill a ledger and measure, in milliseconds."""
    migrate(config)
    ledger = connect(config)
    numbers: dict[str, float] = {}

    def measure(name: str, call: Callable[[], object], times: int = REPEATED) -> None:
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        numbers[name] = round(1000 * statistics.median(seconds), 1)
        print(f"{config.url[:10]:12}{name:48}{numbers[name]:12,.1f}", flush=True)

    try:
        began = time.perf_counter()
        fill(ledger, jobs, config.schema)
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
        ledger.register_worker(a_worker(queues=("mail", "default")), [an_offer()])
        look, page = ledger.inspection, ledger.inspection.page
        measure("list, all, first page", page)
        place = page(limit=1000).next
        measure("list, all, a later page", lambda: page(after=place))
        for name, which in (
            ("of a task", JobFilter(tasks=("task.3",))),
            ("completed", JobFilter(states=(JobState.COMPLETED,))),
            ("quarantined", JobFilter(states=(JobState.QUARANTINED,))),
            ("running (none)", JobFilter(states=(JobState.RUNNING,))),
            ("with a tag", JobFilter(tags=(TAG,))),
            ("with a tag, in the quarantine (none)", JobFilter(tags=(TAG,), states=(JobState.QUARANTINED,))),
            ("of a task that is not there", JobFilter(tasks=("nothing",))),
            (
                "with a text in the quarantine",
                JobFilter(reasons=(QuarantineReason.PERMANENT,), text="customer"),
            ),
            ("with a text that is nowhere", JobFilter(states=(JobState.QUARANTINED,), text="zebra")),
        ):
            measure(f"list, {name}", lambda which=which: page(which))
        measure("count, all", look.count)
        measure("count, quarantined", lambda: look.count(JobFilter(states=(JobState.QUARANTINED,))))
        measure("overview", look.overview)
        measure("counts of everything, for comparison", ledger.counts)
        measure("prune, nothing to do", lambda: ledger.retention.prune(policy(), 500))
        with_tag = JobFilter(tags=(TAG,))
        measure("bulk, cancel with a tag", lambda: list(ledger.bulk.cancel(with_tag)), times=1)
        some = JobFilter(states=(JobState.QUARANTINED,))
        done: Counter[str] = Counter()
        measure(
            "bulk, requeue 10,000", lambda: done.update(_sum(ledger.bulk.requeue(some, most=10_000))), times=1
        )
        measure("bulk, cancel 10,000", lambda: _sum(ledger.bulk.cancel(EVERY_JOB, most=10_000)), times=1)
        if done["requeued"] != min(10_000, jobs // 20):
            raise RuntimeError(f"{done} were requeued")
    finally:
        ledger.close()
    return numbers


def policy() -> RetentionPolicy:
    """Keep everything, each task in its own way."""
    return RetentionPolicy.of(
        ["task.1=3000d", "task.2:completed=3100d"], completed_seconds=3e8, quarantined_seconds=3e8
    )


def _sum(pages: Iterable[Counter[str]]) -> Counter[str]:
    return sum(pages, Counter())


def main() -> None:
    """Measure both databases, print, keep the numbers."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=1_000_000)
    jobs = arguments.parse_args().jobs
    summary: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        summary["sqlite"] = measured(LedgerConfig(url=f"sqlite:///{folder}/ledger.db"), jobs)
    with PostgresServer(fsync=True) as server:
        url = server.url_of(server.create_database())
        summary["postgresql"] = measured(LedgerConfig(url=url, schema="bench"), jobs)
    about = {
        "version": __version__,
        "jobs": jobs,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "unit": "ms",
    }
    RESULTS.write_text(json.dumps({"about": about, "summary": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
