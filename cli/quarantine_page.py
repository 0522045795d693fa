"""Quarantined messages and jobs as people and machines read them.

What strangers wrote is shown escaped: a message may hold what a terminal obeys.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console

from holdfast.cli.terminal import a_table, say
from holdfast.jobs.job import Job
from holdfast.ledger.records import QueuedMessage
from holdfast.workers.kept import Envelope, envelope_from

_SHOWN_BYTES: Final = 4096
_SHOWN_DETAIL: Final = 100


def message_json(message: QueuedMessage, *, raw: bool = False) -> dict[str, Any]:
    """Return a message; with `raw` its headers and its bytes in hex, which may be private."""
    envelope = _envelope(message)
    page: dict[str, Any] = {
        "id": message.id, "queue": message.queue, "reason": str(message.reason), "detail": message.detail,
        "task": _header(envelope, "task"), "job_id": _header(envelope, "id"), "size": message.size,
        "is_whole": message.is_whole if raw else None, "count": message.count, "digest": message.digest,
        "source": message.source, "first_seen_at": message.first_seen_at.isoformat(),
        "last_seen_at": message.last_seen_at.isoformat(), "replays": message.replays,
        "replayed_at": message.replayed_at.isoformat() if message.replayed_at else None,
    }  # fmt: skip
    if raw:
        page["envelope"] = message.envelope
        page["raw_hex"] = message.raw.hex()
    else:
        del page["is_whole"]
    return page


def job_json(job: Job) -> dict[str, Any]:
    """Return what a list says of a quarantined job."""
    return {
        "id": job.id, "task": job.task, "queue": job.queue, "reason": str(job.reason), "detail": job.detail,
        "attempt": job.attempt, "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }  # fmt: skip


def show_messages(console: Console, messages: Sequence[QueuedMessage]) -> None:
    """Print a list of messages."""
    table = a_table("id", "queue", "reason", "times", "bytes", "last seen", "task", "detail")
    for one in messages:
        task = _header(_envelope(one), "task") or ""
        replayed = f" (replayed {one.replays} times)" if one.replays else ""
        table.add_row(
            str(one.id), printable(one.queue), str(one.reason), str(one.count), str(one.size),
            f"{one.last_seen_at:%Y-%m-%d %H:%M:%S}", printable(task),
            printable(one.detail)[:_SHOWN_DETAIL] + replayed,
        )  # fmt: skip
    _show(console, "Messages that are no jobs", table if messages else None)


def show_jobs(console: Console, jobs: Sequence[Job]) -> None:
    """Print a list of quarantined jobs."""
    table = a_table("id", "task", "queue", "reason", "ended", "detail")
    table.columns[0].no_wrap = True  # to be copied
    for job in jobs:
        table.add_row(
            job.id, printable(job.task), job.queue, str(job.reason),
            f"{job.finished_at:%Y-%m-%d %H:%M:%S}" if job.finished_at else "",
            printable(job.detail or "")[:_SHOWN_DETAIL],
        )  # fmt: skip
    _show(console, "Jobs", table if jobs else None)


def show_message(console: Console, message: QueuedMessage, *, raw: bool) -> None:
    """Print one message: facts, and with `raw` headers and bytes, escaped."""
    table = a_table("", "")
    table.show_header = False
    for name, value in message_json(message).items():
        if value is not None:
            table.add_row(name, printable(str(value)))
    console.print(table, markup=False)
    if not raw:
        say(console, "\n--raw shows headers and bytes, which may be private.", "dim")
        return
    if message.envelope:
        say(console, f"\n{printable(message.envelope)}")
    more = len(message.raw) - _SHOWN_BYTES
    say(console, f"\n{escaped(message.raw[:_SHOWN_BYTES])}")
    if more > 0:
        say(console, f"({more} bytes more; --json has all that is kept)", "dim")


def printable(text: str) -> str:
    """Return a text with everything escaped that is no printable character."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def escaped(raw: bytes) -> str:
    """Return bytes as ASCII, with escapes for the rest."""
    return repr(raw)[2:-1]


def _show(console: Console, title: str, table: Any) -> None:  # noqa: ANN401 -- rich's table, or None
    say(console, title, "bold")
    if table is None:
        say(console, "none", "dim")
    else:
        console.print(table, markup=False)
    console.print()


def _envelope(message: QueuedMessage) -> Envelope | None:
    return envelope_from(message.envelope) if message.envelope else None


def _header(envelope: Envelope | None, name: str) -> str | None:
    headers: Mapping[str, Any] = envelope.headers if envelope is not None else {}
    value = headers.get(name)
    return value if isinstance(value, str) else None
