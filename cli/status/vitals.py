"""How the platform is, read from the ledger, and the one line that says it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from holdfast.cli.supervisor.supervisor import ChildStatus
from holdfast.jobs.job import WorkerRow
from holdfast.jobs.outcome import UPSTREAM
from holdfast.jobs.state import JobState
from holdfast.ledger.records import ParkedGroup, PausedQueue, QueueCount

_MINUTE: Final = 60
_HOUR: Final = 3600
_MOST_NAMES: Final = 3
"""Of upstreams, in a line that holds more than them."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """The numbers of one look."""

    available: int = 0
    later: int = 0
    """Scheduled and parked."""
    running: int = 0
    completed: int = 0
    quarantined: int = 0
    oldest_seconds: float = 0.0
    """How long the oldest available job has waited."""
    slots: int = 0
    paused: tuple[str, ...] = ()
    """The paused queues."""
    parked: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many wait for which upstream; they are among the later ones."""


def vitals(
    counts: Sequence[QueueCount],
    workers: Sequence[WorkerRow],
    pauses: Sequence[PausedQueue] = (),
    groups: Sequence[ParkedGroup] = (),
) -> Vitals:
    """Sum up what the ledger says."""

    def number(*states: JobState) -> int:
        return sum(each.count for each in counts if each.state in states)

    parked: Counter[str] = Counter()
    for group in groups:
        parked[group.waiting_for.removeprefix(UPSTREAM)] += group.waiting
    waits = [each.oldest_seconds for each in counts if each.state is JobState.AVAILABLE]
    return Vitals(
        available=number(JobState.AVAILABLE),
        later=number(JobState.SCHEDULED, JobState.PARKED),
        running=number(JobState.RUNNING),
        completed=number(JobState.COMPLETED),
        quarantined=number(JobState.QUARANTINED),
        oldest_seconds=max(waits, default=0.0),
        slots=sum(worker.slots for worker in workers),
        paused=tuple(pause.queue for pause in pauses),
        parked=parked,
    )


def workers_part(children: Sequence[ChildStatus], ready: int) -> tuple[str, str]:
    """Return what to say of our workers, and in which colour."""
    ours = [child for child in children if child.name.startswith("worker")]
    restarts = sum(child.restarts for child in ours)
    text = f"workers {ready}/{len(ours)} up"
    if restarts:
        text += f", {restarts} restart{'s' if restarts > 1 else ''}"
    if any(child.is_failing for child in ours):
        return text + ", failing", "bold red"
    return text, "green" if ready == len(ours) else "yellow"


def status_line(now: Vitals | None, children: Sequence[ChildStatus], ready: int) -> Text:
    """Return the line; without vitals the database cannot be reached."""
    text, colour = workers_part(children, ready)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(text, colour)
    if now is None:
        return line.append("  database cannot be reached; asking again", "bold red")
    line.append(f"  running {now.running:,}/{now.slots:,}")
    line.append(f"  waiting {now.available:,}", "yellow" if now.available else "")
    if now.available:
        line.append(f" (oldest {duration(now.oldest_seconds)})")
    if now.later:
        line.append(f"  later {now.later:,}")
    if now.parked:
        names = sorted(now.parked, key=lambda name: (-now.parked[name], name))
        told = [f"{name} {now.parked[name]:,}" for name in names[:_MOST_NAMES]]
        line.append(f"  parked {', '.join(told)}{', ...' if names[_MOST_NAMES:] else ''}", "yellow")
    line.append(f"  done {now.completed:,}")
    if now.paused:
        line.append(f"  paused {', '.join(now.paused)}", "yellow")
    if now.quarantined:
        line.append(f"  quarantined {now.quarantined:,}", "red")
    return line


def duration(seconds: float) -> str:
    """Return a stretch of time as people say it: 0.4 s, 3 min, 2 h."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h"
