"""What every reader returns: typed blocks of numbered lines."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from holdfast.tasks.agents.digest.lines import SourceLine, fold


class BlockKind(StrEnum):
    """What a block is. Key sentences come from prose, list items and quotes only."""

    PROSE = "prose"
    LIST_ITEM = "list_item"
    QUOTE = "quote"
    HEADING = "heading"
    CODE = "code"
    TABLE = "table"
    FRONT_MATTER = "front_matter"
    FIELD = "field"
    LINKS = "links"
    MARKUP = "markup"


READABLE = frozenset({BlockKind.PROSE, BlockKind.LIST_ITEM, BlockKind.QUOTE})
"""The kinds of block that may hold key sentences."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together. `level` is the depth of a heading (1 is the title), else 0."""

    kind: BlockKind
    lines: tuple[SourceLine, ...]
    level: int = 0

    def text(self) -> str:
        """Return the lines joined, with whitespace folded."""
        return " ".join(folded for line in self.lines if (folded := fold(line.text)))

    def line_numbers(self) -> "LineNumbers":
        """Return the way back from a place in `text()` to a line number."""
        kept = [(line.number, len(fold(line.text))) for line in self.lines]
        kept = [(number, length) for number, length in kept if length]
        starts = [0, *accumulate(length + 1 for _, length in kept)][: len(kept)]
        return LineNumbers(tuple(starts), tuple(number for number, _ in kept))


@dataclass(frozen=True, slots=True)
class LineNumbers:
    """Where each line of a block begins in its folded text."""

    starts: tuple[int, ...]
    numbers: tuple[int, ...]

    def at(self, offset: int) -> int:
        """Return the number of the line that holds this character."""
        return self.numbers[bisect_right(self.starts, offset) - 1]


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as its reader saw it.

    `lines` are what its sentences are cited from (see `reader.source_lines`);
    `note` says what could not be read and why.
    """

    title: str
    blocks: tuple[Block, ...]
    note: str = ""
    lines: tuple[str, ...] = ()
