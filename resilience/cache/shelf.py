"""The answers that this process keeps in its memory, bounded in number and in bytes."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_OWN_BYTES: Final = 400
"""What the shelf itself needs for one answer, about: the key, the record and their places."""


@dataclass(slots=True)
class Copy:
    """An answer in this process. Seconds are those of the clock's `monotonic`."""

    text: bytes
    """JSON, so that nobody who gets the answer can change it for the next one."""
    made_at: float
    checked_at: float
    """When the shared store had it, too."""
    is_shared: bool
    """The shared store was given it, or gave it."""
    refresh_at: float = 0.0
    """No new one is fetched behind before."""


class Shelf:
    """Keeps what was asked for last; the rest makes room. All methods may be called from any thread."""

    def __init__(self, *, most_entries: int, most_bytes: int) -> None:
        """Keep at most so many answers, and so many bytes with what the shelf itself needs for them."""
        if most_entries < 0 or most_bytes < 0:
            raise ValueError("most_entries and most_bytes must be at least 0")
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._bytes = 0
        self._copies: OrderedDict[str, Copy] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: str) -> Copy | None:
        """Return an answer, whatever its age."""
        with self._lock:
            copy = self._copies.get(key)
            if copy is not None:
                self._copies.move_to_end(key)
            return copy

    def keep(self, key: str, copy: Copy) -> None:
        """Keep an answer in place of an older one, unless it alone is more than may be kept."""
        with self._lock:
            self._remove(key)
            if _size(copy) > self._most_bytes:
                return
            self._copies[key] = copy
            self._bytes += _size(copy)
            while len(self._copies) > self._most_entries or self._bytes > self._most_bytes:
                self._remove(next(iter(self._copies)))

    def remove(self, key: str) -> None:
        """Forget an answer."""
        with self._lock:
            self._remove(key)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._copies.clear()
            self._bytes = 0

    def forget(self) -> None:
        """Begin anew in a forked child, where the lock may be held by nobody who is there."""
        self._lock = threading.Lock()
        self._copies = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Return how much they take, with what the shelf itself needs for them."""
        return self._bytes

    def __len__(self) -> int:
        """Return how many answers there are."""
        return len(self._copies)

    def _remove(self, key: str) -> None:
        copy = self._copies.pop(key, None)
        if copy is not None:
            self._bytes -= _size(copy)


def _size(copy: Copy) -> int:
    return len(copy.text) + _OWN_BYTES
