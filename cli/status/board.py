"""Where `holdfast up` tells what happens: one line that lives on a terminal, plain lines elsewhere."""

import queue
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from holdfast.cli.supervisor.notices import Died, Failing, Notice, Started
from holdfast.cli.supervisor.platform import last_words
from holdfast.cli.terminal import say

PLAIN_SECONDS: Final = 30.0
"""Without a terminal the numbers are told so often, and only if they changed."""


class Board:
    """Shows notices as lines that stay, and the status as a line that changes."""

    def __init__(self, console: Console) -> None:
        """Prepare; nothing is shown before the block begins."""
        self._console = console
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(Text(""), console=console, auto_refresh=False, transient=True)
        self._told_at = 0.0
        self._told = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self.tell()

    def note(self, notice: Notice) -> None:
        """Take a notice from the supervisor's thread; `tell` shows it."""
        self._notices.put(notice)

    def tell(self) -> None:
        """Show the notices that came."""
        while not self._notices.empty():
            notice = self._notices.get()
            if (line := sentence(notice)) is not None:
                say(self._console, line, "red" if isinstance(notice, Failing) else "yellow")

    def announce(self, line: str) -> None:
        """Say something that stays."""
        say(self._console, line, "cyan")

    def show(self, line: Text) -> None:
        """Show the notices, then the status."""
        self.tell()
        if self._live is not None:
            self._live.update(line, refresh=True)
            return
        now, text = time.monotonic(), line.plain
        is_news = headline(text) != headline(self._told)
        if is_news or (text != self._told and now - self._told_at >= PLAIN_SECONDS):
            self._told, self._told_at = text, now
            say(self._console, text)


def headline(status: str) -> str:
    """Return the part of a status line that is told at once when it changes: how the workers are."""
    return status.partition("  ")[0]


def sentence(notice: Notice) -> str | None:
    """Say a notice in words; None for what nobody needs to hear."""
    match notice:
        case Started(name, pid, restarts):
            return f"{name} runs again (process {pid}, restart {restarts})" if restarts else None
        case Died(name, how, life_seconds, again_in_seconds):
            then = f"starting it again in {again_in_seconds:g} s."
            jobs = " Its jobs are taken up again." if name.startswith("worker") else ""
            return f"{name} {how} after {life_seconds:.1f} s; {then}{jobs}"
        case Failing():
            log = f"Its log: {notice.log_path}"
            return f"{last_words(notice)}\n  It is started again every few seconds. {log}"
