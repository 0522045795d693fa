"""The heir: settles what processes that are dead left on disk, before anybody frees their jobs (B16)."""

import hashlib
import json
from collections.abc import Sequence
from typing import Final, Protocol

from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.events import Events, ServiceFailed, SpoolReplayed
from holdfast.jobs.ids import WorkerId
from holdfast.jobs.job import Settled, Settlement
from holdfast.workers.census import Birth
from holdfast.workers.spool import lines
from holdfast.workers.spool.folder import File, Folder

_MOST_AT_ONCE: Final = 256
_LONGEST_ERROR: Final = 500
_MARK_CHARACTERS: Final = 24


class SettlingLedger(Protocol):
    """What the heir asks of the ledger."""

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write outcomes, each under its token; a repetition gets the first answer."""
        ...


def prefix_of(ledger_id: str, birth: Birth | None = None) -> str:
    """Return how the files for one ledger begin, or those of one process."""
    if birth is None:
        return f"{ledger_id}."
    text = json.dumps([birth.machine_id, birth.pid, birth.started_marker])
    return f"{ledger_id}.{hashlib.sha256(text.encode()).hexdigest()[:_MARK_CHARACTERS]}."


def name_of(ledger_id: str, birth: Birth, worker_id: WorkerId) -> str:
    """Return the name of a process's file."""
    return f"{prefix_of(ledger_id, birth)}{worker_id}"


class Heir:
    """Replays the files of dead processes. Any process of the machine may, as often as it likes."""

    def __init__(self, folder: Folder, prefix: str, *, events: Events) -> None:
        """Look for files that begin so."""
        self._folder = folder
        self._prefix = prefix
        self._events = events
        self._told: set[str] = set()

    def replay(self, ledger: SettlingLedger) -> list[str]:
        """Settle what the dead left, and remove their files; returns the names of the files that are left.

        Those belong to living processes, are being replayed by somebody else, or cannot be read.
        Raises LedgerUnavailable: ask again.
        """
        try:
            names = self._folder.names(self._prefix)
        except OSError as error:
            self._tell(self._prefix, error)
            return []
        return [name for name in names if not self._is_gone(name, ledger)]

    def _is_gone(self, name: str, ledger: SettlingLedger) -> bool:
        try:
            file = self._folder.take(name)
            if file is None:
                return False
            try:
                self._replay(name, file, ledger)
            finally:
                file.release()
        except LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 -- one bad file must not keep a worker from its start
            self._tell(name, error)
            return False
        return True

    def _replay(self, name: str, file: File, ledger: SettlingLedger) -> None:
        settlements, torn = lines.read(file.read())
        late = refused = 0
        for start in range(0, len(settlements), _MOST_AT_ONCE):
            chunk = settlements[start : start + _MOST_AT_ONCE]
            for answer in self._settle(name, chunk, ledger):
                refused += answer is None
                late += answer is not None and answer.is_lost
        if refused:
            file.put_aside()
        else:
            file.remove()
        if settlements or torn:
            self._events.emit(SpoolReplayed(count=len(settlements), late=late, refused=refused, torn=torn))

    def _settle(self, name: str, chunk: Sequence[Settlement], ledger: SettlingLedger) -> list[Settled | None]:
        try:
            return list(ledger.settle(chunk))
        except LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 -- one of them is to blame, and the others are paid work (B13)
            if len(chunk) == 1:
                self._tell(name, error)
                return [None]
        return [answer for one in chunk for answer in self._settle(name, [one], ledger)]

    def _tell(self, what: str, error: Exception) -> None:
        # Once: a file that is not for us stays where it is, and is met again and again.
        if what not in self._told:
            self._told.add(what)
            self._events.emit(ServiceFailed(service="spool", error=f"{what}: {error!r}"[:_LONGEST_ERROR]))
