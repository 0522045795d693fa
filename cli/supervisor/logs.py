"""The log files of children: bounded, and their last words."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LARGEST_BYTES: Final = 10 * 1024 * 1024
LAST_LINES: Final = 12
_TAIL_BYTES: Final = 32 * 1024
_WIDEST: Final = 400
_FRAME: Final = re.compile(r'\s*File ".*", line \d+')
_TRACEBACK: Final = "Traceback (most recent call last):"


def rotate(path: Path, largest_bytes: int = LARGEST_BYTES) -> None:
    """Put a log that has grown too large aside, over the one put aside before."""
    if path.exists() and path.stat().st_size > largest_bytes:
        path.replace(path.with_name(f"{path.name}.1"))


def size(path: Path) -> int:
    """Return where the log ends now; 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, *, since: int = 0, most: int = LAST_LINES) -> tuple[str, ...]:
    """Return the last lines that say something, written after the position `since`."""
    if not path.exists():
        return ()
    with path.open("rb") as log:
        end = log.seek(0, 2)
        log.seek(max(end - _TAIL_BYTES, min(since, end)))
        text = log.read().decode("utf-8", "replace")
    return tuple(_printable(line) for line in without_frames(text.splitlines())[-most:])


def without_frames(lines: Sequence[str]) -> list[str]:
    """Leave out blank lines and the frames of tracebacks: what is left names the error."""
    kept: list[str] = []
    frame_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if _FRAME.match(line):
            frame_indent = indent
        elif line.strip() and not (frame_indent is not None and indent > frame_indent):
            frame_indent = None
            kept.append(line)
    return [line for line in kept if line.strip() != _TRACEBACK]


def _printable(line: str) -> str:
    shown = "".join(sign if sign.isprintable() else " " for sign in line).rstrip()
    return shown if len(shown) <= _WIDEST else f"{shown[:_WIDEST]}..."
