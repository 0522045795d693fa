"""Lists of jobs as people and machines read them."""

from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from holdfast.cli.quarantine_page import printable
from holdfast.cli.status.vitals import duration
from holdfast.cli.terminal import a_table, err, say
from holdfast.jobs.job import Job
from holdfast.ledger.job_filter import JobCount, JobPage

WIDE: Final = 120
"""Columns of a terminal from which on a line says more."""
_LONGEST_NOTE: Final = 80


def as_json(page: JobPage) -> dict[str, Any]:
    """Return a page; `next` is what `--after` takes, null after the last one."""
    return {
        "jobs": [_job(job) for job in page.jobs],
        "next": str(page.next) if page.next is not None else None,
    }


def count_json(count: JobCount) -> dict[str, Any]:
    """Return a count."""
    return {"count": count.total, "by_state": dict(count.by_state), "at": count.at.isoformat()}


def show(console: Console, page: JobPage, now: datetime) -> None:
    """Print a page: four columns in a narrow terminal, seven in a wide one; and how to go on."""
    if not page.jobs:
        say(console, "No job fits.")
        return
    is_wide = console.width >= WIDE
    table = a_table("id", "state", "age", "task", *(["queue", "tries", "note"] if is_wide else []))
    table.columns[0].no_wrap = True  # to be copied
    for job in page.jobs:
        age = duration(max(0.0, (now - job.created_at).total_seconds()))
        facts = (job.id, str(job.state), age)
        if is_wide:
            table.add_row(*facts, printable(job.task), job.queue, str(job.attempt), note(job))
        else:
            why = note(job)
            table.add_row(*facts, Text.assemble(printable(job.task), (f"\n{why}" if why else "", "dim")))
    console.print(table, markup=False)
    if page.next is not None:
        say(err(), f"There are more: --after {page.next}", "dim")


def note(job: Job) -> str:
    """Say in a few words why a job is where it is; empty where its state says all."""
    said = job.waiting_for or job.detail or (job.progress.text if job.progress is not None else "")
    words = [str(job.reason)] if job.reason is not None else []
    if job.cancel_requested_at is not None and not job.state.is_final:
        words.append("asked to end")
    if said:
        words.append(printable(" ".join(said.split())))
    return ": ".join(words)[:_LONGEST_NOTE]


def states(count: JobCount) -> str:
    """Write the parts of a count: `4,000 available, 11 running`."""
    most_first = sorted(count.by_state.items(), key=lambda part: (-part[1], part[0]))
    return ", ".join(f"{each:,} {state}" for state, each in most_first)


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "task": job.task, "queue": job.queue, "state": str(job.state),
        "reason": str(job.reason) if job.reason is not None else None, "detail": job.detail,
        "waiting_for": job.waiting_for, "tenant": job.tenant, "tags": list(job.tags),
        "priority": job.priority, "attempt": job.attempt, "generation": job.generation,
        "worker_id": job.worker_id,
        "failure": {"type": job.failure.type, "message": job.failure.message} if job.failure else None,
        "created_at": _instant(job.created_at), "run_at": _instant(job.run_at),
        "started_at": _instant(job.started_at), "finished_at": _instant(job.finished_at),
    }  # fmt: skip


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None
