"""The workers: who lives, where, what they read, and how busy they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from holdfast.cli.quarantine_page import printable
from holdfast.cli.status.vitals import duration
from holdfast.cli.terminal import a_table, say
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import WorkerRow


def as_json(worker: WorkerRow, running: int) -> dict[str, Any]:
    """Return a worker for machines."""
    return {
        "id": worker.id, "name": worker.name, "host": worker.host, "pid": worker.pid,
        "version": worker.version, "is_alive": worker.is_alive, "running": running, "slots": worker.slots,
        "queues": list(worker.queues), "has_lane": worker.has_lane,
        "started_at": worker.started_at.isoformat(), "seen_at": worker.seen_at.isoformat(),
    }  # fmt: skip


def show(console: Console, workers: Sequence[WorkerRow], held: Mapping[WorkerId, int], now: datetime) -> None:
    """Print the list."""
    if not workers:
        say(console, "No worker lives. `holdfast worker` starts one, `holdfast up` a platform.")
        return
    console.print(table_of(workers, held, now), markup=False)


def table_of(workers: Sequence[WorkerRow], held: Mapping[WorkerId, int], now: datetime) -> Table:
    """Return the list as a table: running jobs of slots, how long it is up, how long ago it beat."""
    table = a_table("worker", "host", "pid", "running", "up", "beat", "queues", "version")
    for worker in workers:
        seen = duration(max(0.0, (now - worker.seen_at).total_seconds()))
        table.add_row(
            printable(worker.name), printable(worker.host), str(worker.pid),
            f"{held.get(worker.id, 0):,}/{worker.slots:,}",
            duration(max(0.0, (now - worker.started_at).total_seconds())),
            f"{seen} ago" if worker.is_alive else "ended", ", ".join(worker.queues), worker.version,
        )  # fmt: skip
    return table
