"""The spool of one process: what its writer could not write to the ledger yet."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.jobs.events import Events, OutcomesSpooled, SpoolUnusable
from holdfast.jobs.job import Settlement
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import File, Folder

_HEAD: Final = lines.header()
_LONGEST_ERROR: Final = 500


class OutcomeSpool:
    """A file of outcomes, made at the start and removed at the end.

    A disk that is full or may not be written is told once, and tried again
    with the next outcome: the writer has everything in memory, too. Nothing
    here raises. Safe to share between threads.
    """

    def __init__(self, folder: Folder, name: str, *, largest_bytes: int, events: Events) -> None:
        """Use a file of this name, of at most so many bytes."""
        self._folder = folder
        self._name = name
        self._largest_bytes = largest_bytes
        self._events = events
        self._file: File | None = None
        self._bytes = len(_HEAD)
        self._count = 0
        self._is_failing = False
        self._guard = threading.Lock()

    def open(self) -> None:
        """Make the file now, so that a folder which cannot be used is known before it is needed."""
        self._try(self._opened)

    def keep(self, settlements: Sequence[Settlement]) -> bool:
        """Write outcomes to the disk; False if they could not be."""
        return self._try(lambda: self._keep(settlements))

    def clear(self) -> None:
        """Forget everything: the ledger has it."""
        if self._count:
            self._try(self._clear)

    def close(self) -> None:
        """Remove the file, unless outcomes are left in it."""
        if not self._count:
            self._try(self._remove)

    def _opened(self) -> File:
        if self._file is None:
            self._file = self._folder.create(self._name, _HEAD)
        return self._file

    def _keep(self, settlements: Sequence[Settlement]) -> None:
        file = self._opened()
        data = b"".join(map(lines.line_of, settlements))
        if self._bytes + len(data) > self._largest_bytes:
            raise OSError(f"it is full: more than {self._largest_bytes} bytes wait for the ledger")
        file.append(data)
        is_first = self._count == 0
        self._bytes += len(data)
        self._count += len(settlements)
        if is_first:
            self._events.emit(OutcomesSpooled(count=len(settlements)))

    def _clear(self) -> None:
        self._opened().truncate(len(_HEAD))
        self._bytes, self._count = len(_HEAD), 0

    def _remove(self) -> None:
        if self._file is not None:
            self._file.remove()
            self._file = None

    def _try(self, work: Callable[[], object]) -> bool:
        with self._guard:
            try:
                work()
            except Exception as error:  # noqa: BLE001 -- whatever the disk does, the writer goes on from memory
                if not self._is_failing:
                    self._is_failing = True
                    self._events.emit(SpoolUnusable(error=repr(error)[:_LONGEST_ERROR]))
                return False
            self._is_failing = False
            return True
