"""Carry a digest run through and show it: what `digest` and `demo` have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from holdfast.cli.connection import Connected
from holdfast.cli.digest.order import DigestRun, Pause
from holdfast.cli.digest.view import WORKING, a_view
from holdfast.cli.terminal import say
from holdfast.jobs.clock import SystemClock
from holdfast.tasks.agents.digest.document import Skipped
from holdfast.tasks.agents.digest.jobs import ReportSummary

SHOWN: Final = 3
"""So many names are printed; the report has all of them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    folder: Path
    output: Path
    pace_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    run: DigestRun
    summary: ReportSummary

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            **self.summary.model_dump(mode="json"),
            "jobs": len(self.run.pieces),
            "refused": [each.model_dump(mode="json") for each in _refusals(self.run)],
            "failed": [{"path": each.document.path, "problem": each.problem} for each in self.run.failed],
            "skipped_documents": [each.model_dump(mode="json") for each in self.run.scan.skipped],
        }


def conduct(
    connected: Connected,
    wish: Wish,
    console: Console,
    pause: Pause,
    *,
    wait_for_worker: Callable[[], None] | None = None,
    is_quiet: bool = False,
) -> Outcome:
    """Scan, enqueue, follow and report. Raises PlatformError, Interrupted among them.

    `wait_for_worker` is called when all is enqueued, by those who have just started one.
    """
    run = DigestRun(connected, wish.folder, wish.output, wish.pace_seconds, SystemClock().now())
    with a_view(console, is_quiet=is_quiet) as view:
        view.show("Scanning", run)
        run.look_around()
        for _ in run.enqueue(pause):
            view.show("Enqueueing", run)
        if wait_for_worker is not None:
            view.show("Waiting for the worker", run)
            wait_for_worker()
        for _ in run.follow(pause):
            view.show(WORKING, run)
        view.show("Writing the report", run)
        summary = run.report(pause)
        view.show("Done", run)
    return Outcome(run, summary)


def tell(console: Console, outcome: Outcome) -> None:
    """Print the outcome in a few lines."""
    run, summary = outcome.run, outcome.summary
    if not run.scan.documents:
        say(
            console, f"Nothing to digest here: {run.folder} holds no document that can be read", "bold yellow"
        )
    else:
        documents = _count(summary.documents, "document")
        themes = _count(summary.themes, "theme")
        say(console, f"{documents}, {themes} in {summary.seconds:.1f} s", "bold green")
        say(console, f"  {work_done(run)}")
    _name(console, "skipped", [each.path for each in run.scan.skipped])
    _name(console, "could not be digested", [each.path for each in _refusals(run)])
    _name(console, "of other kinds and not read", run.scan.other_names, run.scan.other_files)
    for piece in run.failed[:SHOWN]:
        say(console, f"  failed: {piece.document.path}: {piece.problem}", "red")
    say(console, f"  Report: {summary.path}")


def _refusals(run: DigestRun) -> list[Skipped]:
    return [
        piece.refusal.model_copy(update={"path": piece.document.path})
        for piece in run.refused
        if piece.refusal is not None
    ]


def _name(console: Console, what: str, paths: Sequence[str], total: int = 0) -> None:
    total = total or len(paths)
    if total:
        more = f" and {total - SHOWN} more" if total > SHOWN else ""
        say(console, f"  {total} {what}, the report names them: {', '.join(paths[:SHOWN])}{more}", "yellow")


def work_done(run: DigestRun) -> str:
    """Say how much was worked on now, and how much a former run had done."""
    total, reused = len(run.pieces), run.reused
    copies = len(run.scan.documents) - total
    text = f"{_count(total - reused, 'job')} run now"
    if reused == total and total:
        text = f"Nothing was done twice: all {total} were already done"
    elif reused:
        text += f", {reused} already done by a former run and not worked on again"
    return text + (f"; {_count(copies, 'copy', 'copies')} of the same content" if copies else "")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
