"""Plain text as blocks: paragraphs between blank lines, and what in them is no prose."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from holdfast.tasks.agents.digest.blocks import Block, BlockKind, Reading
from holdfast.tasks.agents.digest.lines import SourceLine, indent_of
from holdfast.tasks.agents.digest.shapes import is_only_links, is_underline, list_marker
from holdfast.tasks.agents.digest.titles import first_title

_MAX_HEADING_CHARACTERS = 80
_ENDS = re.compile(r"[.!?:;,][\"')\]]*$")
_NUMBERED_HEADING = re.compile(r"(?:\d+\.)+\d*\s+[A-Z]\S*(?:\s+\S+){0,7}")


def read_plain(lines: Sequence[SourceLine]) -> Reading:
    """Read a text file."""
    blocks = tuple(plain_blocks(lines))
    return Reading(first_title(blocks), blocks)


def plain_blocks(lines: Sequence[SourceLine]) -> Iterator[Block]:
    """Yield the blocks of a text; what follows a paragraph that ends in `::` and is indented is code."""
    literal_indent: int | None = None
    for filled, group in groupby(lines, key=lambda line: bool(line.text.strip())):
        if not filled:
            continue
        paragraph = tuple(group)
        indent = min(indent_of(line.text) for line in paragraph)
        if literal_indent is not None and indent > literal_indent:
            yield Block(BlockKind.CODE, paragraph)
            continue
        yield from _paragraph(paragraph)
        literal_indent = indent if paragraph[-1].text.rstrip().endswith("::") else None


def _paragraph(lines: tuple[SourceLine, ...]) -> Iterator[Block]:
    """Split a paragraph at underlined titles, rules and list items."""
    start = 0
    for index, line in enumerate(lines):
        if is_underline(line.text):
            titled = index - start == 1
            yield from _body(lines[start : index - 1 if titled else index])
            yield Block(
                BlockKind.HEADING if titled else BlockKind.MARKUP,
                lines[index - titled : index + 1],
                int(titled),
            )
            start = index + 1
        elif index > start and list_marker(line.text.lstrip(), numbers=False):
            yield from _body(lines[start:index])
            start = index
    yield from _body(lines[start:])


def _body(lines: tuple[SourceLine, ...]) -> Iterator[Block]:
    if not lines:
        return
    first = lines[0].text.lstrip()
    marker = list_marker(first)
    if _is_heading(lines):
        yield Block(BlockKind.HEADING, lines, 2)
    elif is_only_links(" ".join(line.text for line in lines)):
        yield Block(BlockKind.LINKS, lines)
    elif marker:
        yield Block(BlockKind.LIST_ITEM, (SourceLine(lines[0].number, first[marker:]), *lines[1:]))
    elif first.startswith(">"):
        yield Block(BlockKind.QUOTE, lines)
    else:
        yield Block(BlockKind.PROSE, lines)


def _is_heading(lines: tuple[SourceLine, ...]) -> bool:
    text = lines[0].text.strip()
    if len(lines) > 1 or len(text) > _MAX_HEADING_CHARACTERS:
        return False
    return not _ENDS.search(text) or _NUMBERED_HEADING.fullmatch(text) is not None
