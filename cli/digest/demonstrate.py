"""The demo: a platform of its own, a digest on it, the top of the report, and everything stopped again."""

import hashlib
import os
import re
import textwrap
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markdown import Markdown
from rich.rule import Rule

from holdfast.cli.connection import Connected, connected
from holdfast.cli.digest.conduct import Outcome, Wish, conduct, tell
from holdfast.cli.digest.demo_documents import gather
from holdfast.cli.digest.order import require_folder, require_worker
from holdfast.cli.errors import PlatformRunning
from holdfast.cli.supervisor.lock import prepare
from holdfast.cli.supervisor.notices import Notice
from holdfast.cli.supervisor.plan import Plan
from holdfast.cli.supervisor.platform import Platform
from holdfast.cli.supervisor.signals import StopSignals
from holdfast.cli.terminal import say
from holdfast.settings import Settings, load

SHOWN_LINES: Final = 32
_LINK: Final = re.compile(r"\[((?:[^\[\]\\]|\\.)+)\]\(#[^()\s]*\)")
_WRAP: Final = textwrap.TextWrapper(
    118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
)
SETTINGS: Final = {"broker_url": "embedded", "database_url": "embedded", "env": "development"}
"""A demo never touches the servers of a shell that is set up for production."""


def demonstrate(
    folder: Path | None,
    data_dir: Path,
    console: Console,
    signals: StopSignals,
    *,
    output: Path | None = None,
    pace_seconds: float = 0.0,
) -> int:
    """Run the demo; return the exit code: 0, or 1 when a job failed."""
    if folder is not None:
        require_folder(folder)
    settings = load(**SETTINGS, data_dir=data_dir)
    own = prepare(settings.data_path) / "demo"
    with _a_platform(settings, console, signals) as stage:
        documents = folder if folder is not None else gather(own / "documents")
        wish = Wish(documents, output or own / report_name(folder), pace_seconds)
        outcome = conduct(
            stage.connected, wish, console, signals.wait, wait_for_worker=stage.wait_for_worker
        )  # fmt: skip
        _show_top(console, Path(outcome.summary.path))
        tell(console, outcome)
    _say_what_next(console, outcome)
    return int(bool(outcome.run.failed))


def report_name(folder: Path | None) -> str:
    """Name the report of a folder: another folder has another one, and the same always the same."""
    if folder is None:
        return "report.md"
    place = folder.resolve()
    name = re.sub(r"[^\w.-]+", "-", place.name)[:40].strip(".-") or "folder"
    return f"report-{name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}.md"


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the digest plays."""

    connected: Connected
    wait_for_worker: Callable[[], None] | None


@contextmanager
def _a_platform(settings: Settings, console: Console, signals: StopSignals) -> Generator[_Stage]:
    """Use the platform that runs on the data folder, or start one and stop it at the end."""
    environment = {f"HOLDFAST_{name.upper()}": value for name, value in SETTINGS.items()}
    platform = Platform(settings, Plan(environment=environment), signals, _ignore)
    try:
        try:
            with _doing(console, "Starting a broker, a ledger and a worker"):
                ledger = platform.start()
        except PlatformRunning:
            say(console, f"Using the platform that already runs on {settings.data_path}")
            with connected(settings) as connection:
                require_worker(connection.ledger)
                yield _Stage(connection, None)
            return
        engine = platform.redis.engine if platform.redis else "a broker"
        say(console, f"Started {engine}, a SQLite ledger and a worker in {settings.data_path}")
        with connected(settings) as connection:
            yield _Stage(connection, lambda: platform.wait_for_worker(ledger))
    finally:
        with _doing(console, "Stopping worker and broker"):
            platform.stop()


def _doing(console: Console, what: str) -> AbstractContextManager[object]:
    return console.status(what) if console.is_terminal else nullcontext()


def _ignore(notice: Notice) -> None:
    """A child that never lives ends the demo with its last words; jobs of one that dies run again."""
    del notice


def _show_top(console: Console, report: Path) -> None:
    lines = report.read_text(encoding="utf-8").splitlines()
    top = "\n".join(lines[:SHOWN_LINES])
    if console.is_terminal:
        console.print(Rule(style="dim"))
        console.print(Markdown(top))
        console.print(Rule(f"the first {min(SHOWN_LINES, len(lines))} of {len(lines)} lines", style="dim"))
    else:
        say(console, "\n" + "\n".join(_plain_top(lines)) + f"\n... ({len(lines)} lines)\n")


def _plain_top(lines: Sequence[str]) -> Sequence[str]:
    """Return the top without the targets of links, and its items in as few lines as they need then."""
    whole = _LINK.sub(r"\1", "\n".join(lines[: 4 * SHOWN_LINES]).replace("\n  ", " ")).splitlines()
    parts = (_WRAP.wrap(line) or [""] for line in whole)
    return list(chain.from_iterable(parts))[:SHOWN_LINES]


def _say_what_next(console: Console, outcome: Outcome) -> None:
    again = "" if outcome.run.reused == len(outcome.run.pieces) else "Run it again: nothing is done twice. "
    say(console, f"  {again}`holdfast up` keeps the platform running.", "dim")
