"""The queues: those that hold jobs, those that live workers read, and those that are paused."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from holdfast.cli.status.vitals import duration
from holdfast.cli.terminal import a_table, say
from holdfast.jobs.backlog import EVERY_QUEUE, BacklogLimit, limit_of
from holdfast.jobs.job import WorkerRow
from holdfast.jobs.state import JobState
from holdfast.ledger.records import PausedQueue, QueueCount


@dataclass(slots=True)
class ListedQueue:
    """One queue."""

    name: str
    available: int = 0
    oldest_seconds: float = 0.0
    """How long the oldest available job has waited."""
    later: int = 0
    """Scheduled and parked."""
    parked: int = 0
    """Of the later ones, those that wait for an upstream or another event: a limit counts them, too."""
    running: int = 0
    quarantined: int = 0
    workers: int = 0
    slots: int = 0
    """Of all workers that read it, which may read others, too."""
    pause: PausedQueue | None = None
    limit: BacklogLimit | None = None
    """How many may wait, as this process's settings say."""

    @property
    def backlog(self) -> str:
        """How many wait, of how many that may."""
        return f"{self.available + self.parked} of {self.limit}" if self.limit is not None else ""

    @property
    def remark(self) -> str:
        """What keeps its jobs from beginning."""
        if self.pause is not None:
            return self.pause.remark
        return "" if self.workers else "no live worker reads it"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "queue": self.name, "available": self.available, "oldest_seconds": self.oldest_seconds,
            "later": self.later, "parked": self.parked, "running": self.running,
            "quarantined": self.quarantined, "workers": self.workers, "slots": self.slots,
            "limit": asdict(self.limit) if self.limit is not None else None,
            "paused_at": self.pause.paused_at.isoformat() if self.pause is not None else None,
            "pause_reason": self.pause.reason if self.pause is not None else None,
        }  # fmt: skip


def collect(
    counts: Sequence[QueueCount],
    workers: Sequence[WorkerRow],
    pauses: Sequence[PausedQueue],
    limits: Mapping[str, BacklogLimit],
) -> list[ListedQueue]:
    """Join what the ledger says of queues, by name, and what may wait in them."""
    found: dict[str, ListedQueue] = {}

    def queue(name: str) -> ListedQueue:
        return found.setdefault(name, ListedQueue(name))

    for count in counts:
        _add(queue(count.queue), count)
    for worker in workers:
        for name in worker.queues:
            queue(name).workers += 1
            queue(name).slots += worker.slots
    for pause in pauses:
        queue(pause.queue).pause = pause
    for name in limits.keys() - {EVERY_QUEUE}:
        queue(name)
    for one in found.values():
        one.limit = limit_of(limits, one.name)
    return [found[name] for name in sorted(found)]


def show(console: Console, queues: Sequence[ListedQueue]) -> None:
    """Print the list."""
    if not queues:
        say(console, "No queue holds a job, and no live worker reads one.")
        return
    console.print(table_of(queues), markup=False)


def table_of(queues: Sequence[ListedQueue]) -> Table:
    """Return the list as a table."""
    # Eighty columns hold one more only where somebody has set a limit.
    limited = any(queue.limit for queue in queues)
    backlog = ["backlog"] if limited else []
    table = a_table("queue", "waiting", *backlog, "oldest", "later", "running", "workers", "slots", "")
    for queue in queues:
        table.add_row(
            queue.name, str(queue.available), *([queue.backlog] if limited else []),
            duration(queue.oldest_seconds) if queue.available else "",
            str(queue.later), str(queue.running), str(queue.workers), str(queue.slots), queue.remark,
        )  # fmt: skip
    return table


def _add(queue: ListedQueue, count: QueueCount) -> None:
    match count.state:
        case JobState.AVAILABLE:
            queue.available += count.count
            queue.oldest_seconds = count.oldest_seconds
        case JobState.RUNNING:
            queue.running += count.count
        case JobState.SCHEDULED | JobState.PARKED:
            queue.later += count.count
            queue.parked += count.count if count.state is JobState.PARKED else 0
        case JobState.QUARANTINED:
            queue.quarantined += count.count
        case _:
            pass
