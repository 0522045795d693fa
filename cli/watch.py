"""How the platform stands, again and again.

On a terminal a picture that changes, for machines a line per change.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from holdfast.cli import queue_list, worker_list
from holdfast.cli.quarantine_page import printable
from holdfast.cli.status.vitals import duration
from holdfast.cli.terminal import a_table, say
from holdfast.jobs.backlog import BacklogLimit
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.state import JobState
from holdfast.ledger.overview import Overview

SHARE: Final = 10
"""A look may take a tenth of the time between two looks: a ledger that is slow is asked less often."""
Limits = Mapping[str, BacklogLimit]


class View(ABC):
    """Shows how it stands."""

    @abstractmethod
    def show(self, now: Overview) -> None:
        """Show it."""

    @abstractmethod
    def lost(self, error: LedgerUnavailable) -> None:
        """Say that the ledger does not answer, and is asked again."""


class LiveView(View):
    """Redraws one picture."""

    def __init__(self, live: Live, limits: Limits) -> None:
        """Draw there."""
        self._live = live
        self._limits = limits

    def show(self, now: Overview) -> None:
        """Draw it."""
        self._live.update(picture(now, self._limits), refresh=True)

    def lost(self, error: LedgerUnavailable) -> None:
        """Draw the error in its place: old numbers would look like new ones."""
        self._live.update(Text(f"{error}; asking again", style="bold red"), refresh=True)


class JsonView(View):
    """Prints one JSON line at the beginning and at each change."""

    def __init__(self, console: Console, limits: Limits) -> None:
        """Print there."""
        self._console = console
        self._limits = limits
        self._told: dict[str, Any] | None = None

    def show(self, now: Overview) -> None:
        """Print it, if anything but the time has changed."""
        page = as_json(now, self._limits)
        if _steady(page) != self._told:
            self._told = _steady(page)
            say(self._console, json.dumps(page, ensure_ascii=False))

    def lost(self, error: LedgerUnavailable) -> None:
        """Print it once."""
        page = {"error": error.code}
        if page != self._told:
            self._told = page
            say(self._console, json.dumps({**page, "detail": str(error)}, ensure_ascii=False))


def keep_watching(
    look: Callable[[], Overview], view: View, *, every_seconds: float, wait: Callable[[float], bool]
) -> None:
    """Look and show, until `wait`, which is given seconds, says that it is enough."""
    pause = 0.0
    while not wait(pause):
        began = time.monotonic()
        try:
            view.show(look())
        except LedgerUnavailable as error:
            view.lost(error)
        pause = max(every_seconds, SHARE * (time.monotonic() - began))


def as_json(now: Overview, limits: Limits) -> dict[str, Any]:
    """Return it for machines."""
    queues = queue_list.collect(now.counts, now.workers, now.pauses, limits)
    return {
        "at": now.at.isoformat(),
        "queues": [queue.as_json() for queue in queues],
        "completed_last_minute": now.recent.get(JobState.COMPLETED, 0),
        "cancelled_last_minute": now.recent.get(JobState.CANCELLED, 0),
        "running": [
            {
                "id": job.id, "task": job.task, "queue": job.queue, "attempt": job.attempt,
                "worker_id": job.worker_id,
                "started_at": job.started_at.isoformat() if job.started_at else None,
                "done": job.progress.done if job.progress else None,
                "total": job.progress.total if job.progress else None,
            }
            for job in now.running
        ],
        "waits": [
            {"waiting_for": wait.waiting_for, "count": wait.count, "since": wait.since.isoformat()}
            for wait in now.waits
        ],
        "workers": [worker_list.as_json(worker, now.held.get(worker.id, 0)) for worker in now.workers],
    }  # fmt: skip


def picture(now: Overview, limits: Limits) -> Group:
    """Return what a terminal shows."""
    queues = queue_list.collect(now.counts, now.workers, now.pauses, limits)
    parts: list[Any] = [headline(now)]
    if queues:
        parts += [Text(), queue_list.table_of(queues)]
    if now.running:
        parts += [
            Text(f"\nRunning, the longest of {now.number(JobState.RUNNING):,} first", "bold"),
            _running(now),
        ]
    if now.waits:
        parts += [Text("\nParked", "bold"), _waits(now)]
    if now.workers:
        parts += [Text("\nWorkers", "bold"), worker_list.table_of(now.workers, now.held, now.at)]
    return Group(*parts)


def headline(now: Overview) -> Text:
    """Return the numbers in one line."""
    slots = sum(worker.slots for worker in now.workers)
    line = Text(f"{now.at:%H:%M:%S}", "dim", no_wrap=True, overflow="ellipsis")
    colour = "green" if now.workers else "bold red"
    line.append(f"  workers {len(now.workers)}", colour)
    line.append(f"  running {now.number(JobState.RUNNING):,}/{slots:,}")
    line.append(f"  waiting {now.number(JobState.AVAILABLE):,}")
    line.append(f"  done {now.recent.get(JobState.COMPLETED, 0):,}/min")
    if aside := now.number(JobState.QUARANTINED):
        line.append(f"  quarantined {aside:,}", "red")
    return line


def _running(now: Overview) -> Any:  # noqa: ANN401 -- rich's table
    names = {worker.id: worker.name for worker in now.workers}
    table = a_table("job", "task", "for", "worker", "progress")
    table.columns[0].no_wrap = True  # to be copied
    for job in now.running:
        said = ""
        if job.progress is not None:
            total = f"/{job.progress.total:g}" if job.progress.total is not None else ""
            said = f"{job.progress.done:g}{total} {printable(job.progress.text)}".strip()
        began = job.started_at or now.at
        where = names.get(job.worker_id, "gone") if job.worker_id is not None else ""
        age = duration(max(0.0, (now.at - began).total_seconds()))
        table.add_row(job.id, printable(job.task), age, printable(where), said)
    return table


def _waits(now: Overview) -> Any:  # noqa: ANN401 -- rich's table
    table = a_table("waiting for", "jobs", "oldest")
    for wait in now.waits:
        age = duration(max(0.0, (now.at - wait.since).total_seconds()))
        table.add_row(printable(wait.waiting_for), f"{wait.count:,}", age)
    return table


def _steady(page: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page without what changes by the mere passing of time."""
    queues = [
        {name: value for name, value in one.items() if name != "oldest_seconds"} for one in page["queues"]
    ]
    workers = [{name: value for name, value in one.items() if name != "seen_at"} for one in page["workers"]]
    return {**page, "at": None, "queues": queues, "workers": workers}
