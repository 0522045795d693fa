"""From bytes to blocks, and to the lines that sentences are cited from.

What "verbatim" means: a sentence stands at lines m to n when these lines,
joined with runs of whitespace folded to one space, contain it. For HTML a line
is what is left of it without tags, entities resolved; for PDF a page counts as
a line; for everything else it is the line as it stands in the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from holdfast.tasks.agents.digest.blocks import READABLE, Block, BlockKind, Reading
from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.hypertext import read_hypertext, visible_lines
from holdfast.tasks.agents.digest.lines import LINE_END, decode, numbered, split_lines
from holdfast.tasks.agents.digest.markdown import read_markdown
from holdfast.tasks.agents.digest.plain import read_plain
from holdfast.tasks.agents.digest.portable import page_texts, read_portable
from holdfast.tasks.agents.digest.python_docs import read_python
from holdfast.tasks.agents.digest.restructured import read_restructured
from holdfast.tasks.agents.digest.shapes import is_code_like, is_table_like

MAX_CHARACTERS = 2_000_000
MAX_LINES = 50_000
"""Of a longer document only the beginning is read, in whole lines, and its digest says so."""


def read(data: bytes, kind: Kind) -> Reading:
    """Return the blocks of a document and the lines that its sentences are cited from.

    UnicodeDecodeError when the bytes are no UTF-8, ValueError with the reason
    when a PDF cannot be read; every other input gives a reading, perhaps empty.
    """
    if kind == Kind.PDF:
        lines = page_texts(data)
        reading = read_portable(lines)
    else:
        whole = decode(data)
        text = _beginning(whole)
        lines = visible_lines(text) if kind == Kind.HTML else split_lines(text)
        reading = _read_text(text, kind)
        if len(text) < len(whole):
            note = f"only the first {len(text):,} of {len(whole):,} characters were read"
            reading = replace(reading, note=f"{reading.note}; {note}" if reading.note else note)
    return replace(reading, blocks=tuple(_doubting(reading.blocks)), lines=tuple(lines))


def _beginning(text: str) -> str:
    """Cut a text at the end of a line, or within one that is longer than the limit."""
    end = len(text)
    for number, line_end in enumerate(LINE_END.finditer(text, 0, MAX_CHARACTERS), start=1):
        end = line_end.start()
        if number == MAX_LINES:
            return text[:end]
    if len(text) <= MAX_CHARACTERS:
        return text
    return text[: min(MAX_CHARACTERS, end)]


def _read_text(text: str, kind: Kind) -> Reading:
    if kind == Kind.HTML:
        return read_hypertext(text)
    if kind == Kind.PYTHON:
        return read_python(text)
    if kind == Kind.MARKDOWN:
        return read_markdown(numbered(text))
    if kind == Kind.RESTRUCTUREDTEXT:
        return read_restructured([line._replace(text=line.text.expandtabs()) for line in numbered(text)])
    return read_plain(numbered(text))


def _doubting(blocks: Iterable[Block]) -> Iterator[Block]:
    """Take what looks like code or columns for that, whatever the markup says."""
    for block in blocks:
        lines = [line.text for line in block.lines]
        if block.kind not in READABLE:
            yield block
        elif is_code_like(lines):
            yield Block(BlockKind.CODE, block.lines)
        elif is_table_like(lines):
            yield Block(BlockKind.TABLE, block.lines)
        else:
            yield block
