"""Carry a digest run through and show it: what `digest` and `demo` have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from holdfast.cli.connection import Connected
from holdfast.cli.digest.order import DigestRun, Pause
from holdfast.cli.digest.view import WORKING, a_view
from holdfast.cli.terminal import say
from holdfast.jobs.clock import SystemClock
from holdfast.tasks.agents.digest.jobs import ReportSummary


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
    documents = _count(summary.documents, "document")
    say(console, f"{documents}, {_count(summary.themes, 'theme')} in {summary.seconds:.1f} s", "bold green")
    say(console, f"  {work_done(run)}")
    if summary.skipped:
        shown = [*(each.path for each in run.scan.skipped), *(each.document.path for each in run.failed)]
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""  # noqa: PLR2004 -- as many as are shown below
        names = ", ".join(shown[:3]) + more
        say(console, f"  {summary.skipped} skipped, the report says why: {names}", "yellow")
    for piece in run.failed[:3]:
        say(console, f"  failed: {piece.document.path}: {piece.problem}", "red")
    say(console, f"  Report: {summary.path}")


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
