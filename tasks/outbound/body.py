"""A body that is read up to a limit, however little of it comes over the wire."""

import zlib
from typing import Final

_PLAIN: Final = frozenset({"", "identity"})
_DEFLATED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER_FORMAT: Final = zlib.MAX_WBITS | 32
"""Reads the headers of gzip and of zlib."""


class BoundedBody:
    """Takes chunks until it is full. The limit counts what was received, and what comes out of it.

    Decompresses gzip and deflate itself, up to the limit and no further: a few
    kilobytes may hold gigabytes. A body in any other coding is left out.
    """

    def __init__(self, largest_bytes: int, coding: str = "") -> None:
        """Begin empty; `coding` is what `Content-Encoding` says."""
        self._coding = coding.strip().lower()
        self._largest = self._left_on_wire = self._left = largest_bytes
        self._parts: list[bytes] = []
        self._unpack = zlib.decompressobj(_EITHER_FORMAT) if self._coding in _DEFLATED else None
        self.is_truncated = self._unpack is None and self._coding not in _PLAIN

    def take(self, chunk: bytes) -> bool:
        """Add a chunk, and tell whether more is wanted."""
        if self.is_truncated:
            return False
        if len(chunk) > self._left_on_wire:
            chunk, self.is_truncated = chunk[: self._left_on_wire], True
        self._left_on_wire -= len(chunk)
        self._keep(chunk if self._unpack is None else self._unpacked(chunk, self._unpack))
        return not self.is_truncated

    def end(self) -> bytes:
        """Return what there is, when the last chunk has come or no more is wanted."""
        has_begun = self._left_on_wire < self._largest
        if self._unpack is not None and has_begun and not self._unpack.eof:
            self.is_truncated = True
        return b"".join(self._parts)

    def _unpacked(self, chunk: bytes, unpack: "zlib._Decompress") -> bytes:
        try:
            data = unpack.decompress(chunk, self._left + 1)
        except zlib.error:
            self.is_truncated = True
            return b""
        if unpack.unused_data:
            self.is_truncated = True
        return data

    def _keep(self, data: bytes) -> None:
        if len(data) > self._left:
            data, self.is_truncated = data[: self._left], True
        self._left -= len(data)
        if data:
            self._parts.append(data)
