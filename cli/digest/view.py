"""What a digest at work looks like: a progress bar and a table, or plain lines without a terminal."""

import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from holdfast.cli.digest.order import DigestRun, Piece
from holdfast.cli.terminal import a_table, say
from holdfast.jobs.state import JobState

MOST_ROWS: Final = 14
FEWEST_ROWS: Final = 3
ROWS_AROUND: Final = 6
"""Lines of the screen that are not the table's."""
WORKING: Final = "Digesting"
"""The step whose progress is counted."""
DRAW_SECONDS: Final = 0.1
PLAIN_SECONDS: Final = 5.0
_STATES: Final = {
    JobState.RUNNING: ("running", "cyan"),
    JobState.COMPLETED: ("done", "green"),
    JobState.AVAILABLE: ("waiting", "dim"),
    JobState.SCHEDULED: ("again soon", "yellow"),
    JobState.PARKED: ("parked", "yellow"),
    JobState.QUARANTINED: ("failed", "red"),
    JobState.CANCELLED: ("cancelled", "red"),
}


class DigestView(ABC):
    """Shows a run as it goes."""

    @abstractmethod
    def show(self, step: str, run: DigestRun) -> None:
        """Show the run as it is now."""


class QuietView(DigestView):
    """Shows nothing: for machines."""

    def show(self, step: str, run: DigestRun) -> None:
        """Show nothing."""


class PlainView(DigestView):
    """A line at each step, and every few seconds."""

    def __init__(self, console: Console) -> None:
        """Print there."""
        self._console = console
        self._told_at = 0.0
        self._told: tuple[str, int] = ("", -1)

    def show(self, step: str, run: DigestRun) -> None:
        """Print a line when there is something new to tell."""
        now, done = time.monotonic(), run.done
        is_complete = step == WORKING and done == len(run.scan.units()) and done != self._told[1]
        if (
            step != self._told[0]
            or is_complete
            or (done != self._told[1] and now - self._told_at >= PLAIN_SECONDS)
        ):
            self._told, self._told_at = (step, done), now
            count = f": {progress_of(run)}" if step == WORKING else ""
            say(self._console, f"{step}{count}{no_workers(run)}")


class LiveView(DigestView):
    """A progress bar over a table of what runs and what came of the last documents."""

    def __init__(self, console: Console, live: Live) -> None:
        """Draw there."""
        self._console = console
        self._live = live
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._bar = self._progress.add_task("", total=None)
        self._ended: dict[str, Piece] = {}
        self._step = ""
        self._drawn_at = 0.0

    def show(self, step: str, run: DigestRun) -> None:
        """Draw the run anew, ten times a second at most."""
        now = time.monotonic()
        if step == self._step and now - self._drawn_at < DRAW_SECONDS and run.done < len(run.pieces):
            return
        self._step, self._drawn_at = step, now
        total = len(run.scan.units()) or None
        self._progress.update(self._bar, description=step, completed=run.done, total=total)
        for piece in run.pieces:
            if piece.is_done and not piece.is_reused:
                self._ended.setdefault(piece.document.key, piece)
        parts: list[Progress | Table | Text] = [self._progress, self._table(run)]
        if note := no_workers(run):
            parts.append(Text(note.strip(" ;"), style="yellow"))
        self._live.update(Group(*parts), refresh=True)

    def _table(self, run: DigestRun) -> Table:
        rows = max(min(MOST_ROWS, self._console.height - ROWS_AROUND), FEWEST_ROWS)
        begun = [piece for piece in run.pieces if piece.state is not JobState.AVAILABLE]
        running = [piece for piece in begun if not piece.is_done]
        shown = running[: rows // 2]
        shown += list(reversed(self._ended.values()))[: rows - len(shown)]
        table = a_table("document", "state", "words", "sentences", "attempt", "took")
        for column in table.columns:
            column.no_wrap, column.overflow = True, "ellipsis"
        for column in table.columns[2:]:
            column.justify = "right"
        table.columns[0].ratio = 1
        table.expand = True
        for piece in shown:
            table.add_row(*row_of(piece))
        return table


@contextmanager
def a_view(console: Console, *, is_quiet: bool = False) -> Generator[DigestView]:
    """Give the view that fits; what it drew last stays."""
    if is_quiet:
        yield QuietView()
    elif not console.is_terminal:
        yield PlainView(console)
    else:
        with Live(Text(""), console=console, auto_refresh=False) as live:
            yield LiveView(console, live)


def progress_of(run: DigestRun) -> str:
    """Say how many documents are digested, and apart from them how many cannot be or failed."""
    parts = [f"{run.digested} of {len(run.scan.units())} documents done"]
    parts += [f"{number} could not be digested" for number in [len(run.refused)] if number]
    parts += [f"{number} failed" for number in [len(run.failed)] if number]
    return ", ".join(parts)


def row_of(piece: Piece) -> tuple[Text, ...]:
    """Return the cells of one document's row."""
    word, style = _STATES[piece.state] if piece.refusal is None else ("no text", "yellow")
    digest = piece.digest
    return (
        Text(piece.document.path),
        Text(word, style=style),
        Text(f"{digest.words:,}" if digest else ""),
        Text(str(len(digest.sentences)) if digest else ""),
        Text(str(piece.attempt or "")),
        Text(f"{digest.seconds:.2f} s" if digest else ""),
    )


def no_workers(run: DigestRun) -> str:
    """Say that nobody works, if so."""
    return "" if run.workers else "; no worker is alive, the jobs wait for one (`holdfast up`)"
