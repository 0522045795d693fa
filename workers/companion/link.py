"""The worker's end of the way to its companion."""

import atexit
import faulthandler
import os
import signal
import socket
from typing import Final

from holdfast.jobs.ids import WorkerId
from holdfast.workers.companion.introduction import Introduction, LifeTerms
from holdfast.workers.companion.page import Page

DUMP_SIGNAL: Final = signal.SIGUSR2
"""Makes the worker write the stacks of all its threads, also while one of them keeps the interpreter."""
LEFT: Final = b"left "
"""How the line begins that says that all is written; the process's exit code follows."""

_links: list["Link"] = []


class Link:
    """The way to the companion of this process."""

    def __init__(self, page: Page, line: socket.socket) -> None:
        """Speak over this page and this socket."""
        self.page = page
        self._line = line
        self._companion = os.getppid()
        self._introductions = 0

    def adopt(self, last_words: int) -> None:
        """Make this the link of the process, right after the fork.

        `last_words` is the file that the interpreter writes to when it crashes.
        """
        faulthandler.enable(file=last_words)
        # Whoever ends the interpreter in good order passes here; os._exit() and exit() of C do not.
        atexit.register(self.page.note_leaving)
        faulthandler.register(DUMP_SIGNAL, all_threads=True)
        _links[:] = [self]

    def introduce(self, worker_id: WorkerId, terms: LifeTerms) -> int:
        """Let the companion beat for this worker from now on; returns the introduction's number."""
        self._introductions += 1
        self.page.unsure_since = 0.0
        self._line.sendall(Introduction(self._introductions, worker_id, terms).as_line())
        return self._introductions

    def leave(self, exit_code: int) -> None:
        """Say that all is written: the process ends within seconds with this code, or may be ended."""
        self._line.sendall(LEFT + b"%d\n" % exit_code)

    def is_orphan(self) -> bool:
        """Tell whether the companion is gone. Linux ends us with it; elsewhere we have to look."""
        return os.getppid() != self._companion


def link_of_this_process() -> Link | None:
    """Return the link to the companion, None if the worker beats for itself."""
    return _links[0] if _links else None
