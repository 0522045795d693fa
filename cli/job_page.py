"""One job as people and machines read it."""

import re
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from holdfast.cli.terminal import a_table, say
from holdfast.jobs.claim_check import LARGEST_EVER_BYTES, MARK
from holdfast.jobs.codec import Json, decode
from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Attempt, Job
from holdfast.ledger.records import JobMoment

_FRAME: Final = re.compile(r'^  File "([^"]+)", line (\d+), in (.+)$', re.MULTILINE)
_LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_ROOT: Final = Path(__file__).parents[1]
# By our folders, not by the root: a user's project may stand in a checkout of ours.
_OURS: Final = tuple(
    f"{_ROOT / name}/"
    for name in (
        "cli", "gateway", "workers", "monitoring", "tasks", "health", "settings", "ledger", "resilience",
        "jobs",
    )
)  # fmt: skip
_NOT_THE_USERS: Final = (*_OURS, *_LIBRARIES, "<")
PLAIN_FIELDS = (
    "id", "task", "version", "queue", "priority", "tenant", "key", "state", "reason", "detail",
    "waiting_for", "parent_id", "worker_id", "attempt", "claims", "generation", "created_at", "run_at",
    "scheduled_for",
    "deadline_at", "started_at", "finished_at", "cancel_requested_at",
)  # fmt: skip


def as_json(
    job: Job,
    attempts: Sequence[Attempt],
    history: Sequence[JobMoment],
    *,
    with_arguments: bool,
    waits: Sequence[str] = (),
) -> dict[str, Any]:
    """Return everything as one JSON object; instants in ISO 8601. `waits` says why it does not begin."""
    page: dict[str, Any] = {name: _plain(getattr(job, name)) for name in PLAIN_FIELDS}
    page["tags"] = list(job.tags)
    page["waits"] = list(waits)
    page["failure"] = asdict(job.failure) if job.failure is not None else None
    if job.progress is not None:
        page["progress"] = {"done": job.progress.done, "total": job.progress.total, "text": job.progress.text}
    if with_arguments:
        page["arguments"] = _value(job.arguments)
        page["result"] = _value(job.result) if job.result is not None else None
    page["attempts"] = [_attempt(attempt) for attempt in attempts]
    page["history"] = [
        {
            "seq": moment.seq, "at": moment.at.isoformat(), "kind": moment.kind, "state": str(moment.state),
            "attempt": moment.attempt, "detail": moment.detail,
        }
        for moment in history
    ]  # fmt: skip
    return page


def show(
    console: Console,
    job: Job,
    attempts: Sequence[Attempt],
    history: Sequence[JobMoment],
    *,
    with_arguments: bool,
    with_traceback: bool = False,
    waits: Sequence[str] = (),
) -> None:
    """Print a job: facts, attempts, history, where it failed, and why it does not begin."""
    say(console, f"{job.task} {job.id}", "bold")
    facts = a_table("", "")
    facts.show_header = False
    for name, value in _facts(job, with_arguments=with_arguments):
        facts.add_row(name, value)
    for reason in waits:
        facts.add_row("waits", reason)
    console.print(facts, markup=False)
    if attempts:
        table = a_table("attempt", "began", "took", "outcome", "failure")
        for attempt in attempts:
            failure = attempt.failure
            table.add_row(
                str(attempt.number), _time(attempt.started_at), _took(attempt), attempt.outcome or "runs",
                f"{failure.type}: {failure.message}" if failure else "",
            )  # fmt: skip
        console.print()
        console.print(table, markup=False)
    moments = a_table("when", "what", "then", "detail")
    for moment in history:
        moments.add_row(_time(moment.at), moment.kind, str(moment.state), moment.detail or "")
    console.print()
    console.print(moments, markup=False)
    if with_traceback:
        _show_tracebacks(console, job, attempts)


def _show_tracebacks(console: Console, job: Job, attempts: Sequence[Attempt]) -> None:
    failures = [(f"Attempt {each.number}", each.failure) for each in attempts if each.failure is not None]
    if job.failure is not None and job.failure not in [failure for _, failure in failures]:
        failures.append(("At the end", job.failure))
    for title, failure in failures:
        say(console, f"\n{title}: {failure.type}", "bold")
        console.print(failure.traceback or "no traceback was kept", markup=False, highlight=False)


def _facts(job: Job, *, with_arguments: bool) -> list[tuple[str, str]]:
    why = f" ({job.reason})" if job.reason else ""
    facts = [("state", f"{job.state}{why}"), ("queue", job.queue), ("created", _time(job.created_at))]
    named = {
        "tenant": job.tenant, "tags": ", ".join(job.tags), "key": job.key, "worker": job.worker_id,
        "parent": job.parent_id,
    }  # fmt: skip
    facts += [(name, value) for name, value in named.items() if value]
    if job.detail:
        facts.append(("detail", job.detail))
    if job.failure is not None:
        facts.append(("failure", f"{job.failure.type}: {job.failure.message}"))
        if place := where_it_failed(job.failure):
            facts.append(("at", f"{place} (--traceback shows the whole way)"))
    if job.progress is not None:
        total = f" of {job.progress.total:g}" if job.progress.total is not None else ""
        facts.append(("progress", f"{job.progress.done:g}{total} {job.progress.text}".strip()))
    if job.finished_at is not None:
        facts.append(("ended", _time(job.finished_at)))
    elif not job.state.is_final and job.run_at > job.created_at:
        facts.append(("not before", _time(job.run_at)))
    if with_arguments:
        facts.append(("arguments", job.arguments))
        if job.result is not None:
            facts.append(("result", job.result))
    return facts


def _value(text: str) -> Json:
    # What is lost is shown as the reference to it: whoever looks wants to see the rest.
    return text if text.startswith(MARK) else decode(text, largest_bytes=LARGEST_EVER_BYTES)


def where_it_failed(failure: Failure) -> str:
    """Name the innermost line that is neither ours nor a library's, as `file.py:44 in function`."""
    frames = [found.groups() for found in _FRAME.finditer(failure.traceback)]
    own = [frame for frame in frames if not frame[0].startswith(_NOT_THE_USERS)]
    for path, line, function in reversed(own or frames):
        return f"{path}:{line} in {function}"
    return ""


def _attempt(attempt: Attempt) -> dict[str, Any]:
    failure = attempt.failure
    return {
        "number": attempt.number, "generation": attempt.generation, "worker_id": attempt.worker_id,
        "started_at": attempt.started_at.isoformat(), "ended_at": _plain(attempt.ended_at),
        "outcome": attempt.outcome, "late": attempt.late,
        "failure": asdict(failure) if failure else None,
    }  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, int) else str(value)


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}.{instant.microsecond // 1000:03d}"


def _took(attempt: Attempt) -> str:
    return f"{(attempt.ended_at - attempt.started_at).total_seconds():.2f} s" if attempt.ended_at else ""
