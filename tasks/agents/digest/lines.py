"""Text as numbered lines: the coordinates in which key sentences cite their source."""

import re
from collections.abc import Sequence
from typing import NamedTuple

LINE_END = re.compile(r"\r\n|\r|\n")
"""What ends a line for an editor; a form feed or a Unicode separator does not."""


class SourceLine(NamedTuple):
    """One line, or what is left of it without markup, with its number in the original file (from 1)."""

    number: int
    text: str


def decode(data: bytes) -> str:
    """Decode UTF-8, with or without a byte-order mark; UnicodeDecodeError says where it is not."""
    return data.decode("utf-8-sig")


def split_lines(text: str) -> list[str]:
    r"""Split as editors do, at \n, \r\n and \r only, so that line numbers agree with what people see."""
    return LINE_END.split(text)


def numbered(text: str) -> list[SourceLine]:
    """Return the lines of a text with their numbers."""
    return [SourceLine(number, line) for number, line in enumerate(split_lines(text), start=1)]


def fold(text: str) -> str:
    """Fold each run of whitespace to one space: the form in which sentences are kept and compared."""
    return " ".join(text.split())


def stands_at(text: str, first_line: int, last_line: int, lines: Sequence[str]) -> bool:
    """Whether this folded text stands verbatim on these lines, counted from 1, both included."""
    return text in fold(" ".join(lines[first_line - 1 : last_line]))


def indent_of(line: str, tab_columns: int = 8) -> int:
    """Count the columns before the first character; a tab reaches to the next multiple of `tab_columns`."""
    blanks = line[: len(line) - len(line.lstrip(" \t"))]
    return len(blanks.expandtabs(tab_columns))


def cut_indent(line: str, columns: int, tab_columns: int = 8) -> str:
    """Take away up to this many columns of indentation."""
    indent = indent_of(line, tab_columns)
    return " " * max(0, indent - columns) + line.lstrip(" \t")
