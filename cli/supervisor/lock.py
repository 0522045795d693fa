"""Never more than one platform on a data folder."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from holdfast.cli.errors import DataFolderUnusable, PlatformRunning
from holdfast.settings import embedded

_FILE_NAME: Final = "platform.lock"


class PlatformLock:
    """The right to run a platform on a data folder.

    The kernel holds it and gives it back however the holder dies, so there is
    no such thing as a stale lock; the file itself may lie there for ever.
    """

    def __init__(self, data_dir: Path) -> None:
        """Name the folder; it is made when the lock is taken."""
        self._folder = data_dir
        self._handle: int | None = None

    def take(self) -> None:
        """Take it. Raises PlatformRunning if another process has it, or DataFolderUnusable."""
        path = prepare(self._folder) / _FILE_NAME
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unusable(self._folder, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            os.close(handle)
            by = f" (process {holder})" if holder.isdigit() else ""
            raise PlatformRunning(detail=f"{self._folder}{by}") from error
        except OSError as error:
            os.close(handle)
            raise unusable(self._folder, error) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode("ascii"))
        self._handle = handle

    def give_back(self) -> None:
        """Let others take it; nothing if it was not taken."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def prepare(data_dir: Path) -> Path:
    """Make the data folder and see that it can be written to. Raises DataFolderUnusable."""
    try:
        folder = embedded.prepare(data_dir)
    except OSError as error:
        raise unusable(data_dir, error) from error
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise DataFolderUnusable(detail=f"{folder} cannot be written to")
    return folder


def unusable(folder: Path, error: OSError) -> DataFolderUnusable:
    """Say why a folder does not serve."""
    where = error.filename or folder
    return DataFolderUnusable(detail=f"{where}: {(error.strerror or str(error)).lower()}")
