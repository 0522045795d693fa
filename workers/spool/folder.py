"""The spool's folder: files that are locked while the process that made them lives.

The lock is the kernel's and ends with its process, however that ends, also
where that ran in another container of this machine. So whoever gets the lock
knows that the owner is dead, and that nobody else reads the file now. On a
network file system the lock is as good as that system's locks; the worst that
a bad one does is a second replay, which changes nothing.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

_SUFFIX: Final = ".spool"
_REFUSED: Final = ".refused"
_CHUNK: Final = 1 << 20


class File(Protocol):
    """A file that this process has locked. Every verb may raise OSError."""

    def append(self, data: bytes) -> None:
        """Write at the end; on disk when it returns, and gone again when it raises."""
        ...

    def truncate(self, size: int) -> None:
        """Forget what stands behind so many bytes."""
        ...

    def read(self) -> bytes:
        """Return all of it."""
        ...

    def remove(self) -> None:
        """Delete it, and let it go."""
        ...

    def put_aside(self) -> None:
        """Rename it, so that it is for people only, and let it go."""
        ...

    def release(self) -> None:
        """Let it go as it is."""
        ...


class Folder(Protocol):
    """Where the files of one machine's workers are. Every verb may raise OSError."""

    def create(self, name: str, head: bytes) -> File:
        """Make a file that begins with `head`, and hold it."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files that begin so and that this process does not hold."""
        ...

    def take(self, name: str) -> File | None:
        """Hold a file whose owner is dead. None: it lives, or somebody else was first."""
        ...


class DiskFolder:
    """A folder on a disk. One for a process: the kernel's locks tell processes apart, not threads."""

    def __init__(self, path: Path) -> None:
        """Use this folder; it is made with its first file."""
        self.path = path
        self._held: set[str] = set()
        self._guard = threading.Lock()

    def create(self, name: str, head: bytes) -> File:
        """Make a file, readable by its owner only; its name appears when it is locked and begun."""
        _make_private(self.path)
        path, draft = self._path(name), self.path / f"{name}.new"
        self._reserve(name)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = DiskFile(os.open(draft, flags, 0o600), path, partial(self._held.discard, name))
        except BaseException:
            self._held.discard(name)
            raise
        try:
            file.lock()
            file.append(head)
            draft.rename(path)
            _sync(self.path)
        except BaseException:
            file.release()
            draft.unlink(missing_ok=True)
            raise
        return file

    def names(self, prefix: str) -> list[str]:
        """List the folder; empty if there is none."""
        try:
            found = [path.name for path in self.path.iterdir()]
        except FileNotFoundError:
            return []
        names = [entry.removesuffix(_SUFFIX) for entry in found if entry.endswith(_SUFFIX)]
        return sorted(name for name in names if name.startswith(prefix) and name not in self._held)

    def take(self, name: str) -> File | None:
        """Lock a file, unless it is locked, or was removed meanwhile."""
        path = self._path(name)
        if not self._reserve(name):
            return None
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            self._held.discard(name)
            return None
        except BaseException:
            self._held.discard(name)
            raise
        file = DiskFile(descriptor, path, partial(self._held.discard, name))
        if file.lock() and file.is_there():
            return file
        file.release()
        return None

    def _reserve(self, name: str) -> bool:
        # Among the threads of this process, which all have its locks.
        with self._guard:
            if name in self._held:
                return False
            self._held.add(name)
            return True

    def _path(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"


class DiskFile:
    """A file on a disk, by its only descriptor: closing any other would end this process's lock."""

    def __init__(self, descriptor: int, path: Path, on_release: Callable[[], object]) -> None:
        """Take an open file, which is closed by `release`."""
        self._descriptor = descriptor
        self._path = path
        self._on_release = on_release
        self._size = os.fstat(descriptor).st_size

    def lock(self) -> bool:
        """Lock it, without waiting; False if another process has it."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def is_there(self) -> bool:
        """Tell whether it still stands under its name: whoever had the lock before may have removed it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def append(self, data: bytes) -> None:
        """Write and flush to the disk, or leave it as it was."""
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], self._size + written)
            os.fsync(self._descriptor)
        except OSError:
            # What cannot even be cut off is a torn line to whoever reads it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def truncate(self, size: int) -> None:
        """Cut it off."""
        os.ftruncate(self._descriptor, size)
        self._size = size

    def read(self) -> bytes:
        """Read from its beginning."""
        parts: list[bytes] = []
        read = 0
        while part := os.pread(self._descriptor, _CHUNK, read):
            parts.append(part)
            read += len(part)
        return b"".join(parts)

    def remove(self) -> None:
        """Delete it while it is locked."""
        self._path.unlink(missing_ok=True)
        self.release()

    def put_aside(self) -> None:
        """Rename it to something that no worker looks at."""
        self._path.rename(self._path.with_suffix(_REFUSED))
        self.release()

    def release(self) -> None:
        """Close it, which ends the lock; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._on_release()


def _make_private(path: Path) -> None:
    for folder in reversed((path, *path.parents)):
        folder.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
