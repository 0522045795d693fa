"""ReStructuredText as blocks: files, and the docstrings of Python code.

A body that is indented (list item, directive, definition) is cut out, read by
the same rules, and keeps the line numbers of the file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.tasks.agents.digest.blocks import Block, BlockKind, Reading
from holdfast.tasks.agents.digest.lines import SourceLine, cut_indent, indent_of
from holdfast.tasks.agents.digest.shapes import is_only_links, is_underline, list_marker
from holdfast.tasks.agents.digest.titles import first_title
from holdfast.tasks.agents.digest.words import word_set

_BORDER = re.compile(r"=+(?:\s+=+)+|-{2,}(?:\s+-{2,})+")
_GRID = re.compile(r"\+[-=]+[-=+]*\+?")
_DIRECTIVE = re.compile(r"\.\.\s+([\w:.+-]+?)::(?:\s+(.*)|$)")
_FIELD = re.compile(r":[^:`\s](?:[^:`]|:(?=\w))*:(?:\s|$)|@\w+\b.*:")
_OPTION = re.compile(r"(?:--?|/)\w[^ ]*(?:,? [^ ]+)*(?:\s{2,}\S|$)")
_DEEPEST = 12
"""Bodies within bodies that are opened; what lies deeper is no text for a reader."""
_ADMONITIONS = word_set(
    "note warning important tip hint caution attention danger error admonition topic container epigraph"
)
_DOMAINS = word_set(
    "module currentmodule class function method data exception attribute describe object option "
    "cmdoption envvar decorator staticmethod classmethod property coroutinefunction coroutinemethod "
    "setting confval program"
)


@dataclass(frozen=True, slots=True)
class Conventions:
    """What introduces fields or code in docstrings (`Args:`), as `section_word` writes it."""

    fields: frozenset[str] = frozenset()
    examples: frozenset[str] = frozenset()


_NONE = Conventions()


def read_restructured(lines: Sequence[SourceLine]) -> Reading:
    """Read a whole file."""
    blocks = restructured_blocks(lines)
    return Reading(first_title(blocks), blocks)


def restructured_blocks(lines: Sequence[SourceLine], conventions: Conventions = _NONE) -> tuple[Block, ...]:
    """Return the blocks of lines whose common indentation was taken away."""
    return tuple(_Restructured(list(lines), conventions).read())


@dataclass(slots=True)
class _Restructured:
    lines: list[SourceLine]
    conventions: Conventions
    depth: int = 0
    at: int = 0
    styles: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def read(self) -> list[Block]:
        steps = (
            self._blank,
            self._indented,
            self._table,
            self._title,
            self._explicit,
            self._doctest,
            self._field,
            self._line_block,
            self._option,
            self._item,
            self._paragraph,
        )
        while self.at < len(self.lines):
            next(step for step in steps if step())
        return self.blocks

    def _text(self, index: int) -> str:
        return self.lines[index].text.rstrip() if index < len(self.lines) else ""

    def _take(self, kind: BlockKind, end: int, level: int = 0) -> bool:
        self.blocks.append(Block(kind, tuple(self.lines[self.at : end]), level))
        self.at = end
        return True

    def _until_blank(self, start: int) -> int:
        end = start
        while self._text(end).strip():
            end += 1
        return end

    def _body_end(self, start: int) -> int:
        """The index after the indented lines that begin at `start`, blank ones between them included."""
        end = last = start
        while end < len(self.lines) and (not self._text(end) or self._text(end)[0] in " \t"):
            end += 1
            last = end if self._text(end - 1) else last
        return last

    def _read_body(self, body: Sequence[SourceLine], readable: BlockKind) -> None:
        """Read inner lines by the same rules; what can be read in them becomes of this kind."""
        if self.depth == _DEEPEST:
            self.blocks.append(Block(BlockKind.MARKUP, tuple(body)))
            return
        for block in _Restructured(list(body), self.conventions, self.depth + 1).read():
            kind = readable if block.kind is BlockKind.PROSE else block.kind
            self.blocks.append(Block(kind, block.lines, block.level))

    def _blank(self) -> bool:
        if self._text(self.at):
            return False
        self.at += 1
        return True

    def _indented(self) -> bool:
        if self._text(self.at)[0] not in " \t":
            return False
        end = self._body_end(self.at)
        self._read_body(dedent(self.lines[self.at : end]), BlockKind.QUOTE)
        self.at = end
        return True

    def _table(self) -> bool:
        text = self._text(self.at)
        if _GRID.fullmatch(text):
            return self._take(BlockKind.TABLE, self._until_blank(self.at))
        if not _BORDER.fullmatch(text):
            return False
        end, borders = self.at + 1, 1
        while end < len(self.lines) and not (borders > 1 and not self._text(end)):
            borders += 1 if _BORDER.fullmatch(self._text(end)) else 0
            end += 1
        return self._take(BlockKind.TABLE, end)

    def _title(self) -> bool:
        here, after, last = self._text(self.at), self._text(self.at + 1), self._text(self.at + 2)
        if is_underline(here):
            over = bool(after.strip()) and is_underline(last) and last[0] == here[0]
            return (
                self._take_title(f"over{here[0]}", 3) if over else self._take(BlockKind.MARKUP, self.at + 1)
            )
        if after and is_underline(after) and after[0] not in " \t":
            return self._take_title(after[0], 2)
        return False

    def _take_title(self, style: str, length: int) -> bool:
        if style not in self.styles:
            self.styles.append(style)
        return self._take(BlockKind.HEADING, self.at + length, self.styles.index(style) + 1)

    def _explicit(self) -> bool:
        text = self._text(self.at)
        if text.startswith("__ "):
            return self._take(BlockKind.MARKUP, self.at + 1)
        if text != ".." and not text.startswith((".. ", "..\t")):
            return False
        end = self._body_end(self.at + 1)
        directive = _DIRECTIVE.match(text)
        name = directive[1].rpartition(":")[2].lower() if directive else ""
        if directive and name in _ADMONITIONS:
            first = SourceLine(self.lines[self.at].number, directive[2] or "")
            self._read_body([first, *dedent(self.lines[self.at + 1 : end])], BlockKind.QUOTE)
        elif name in _DOMAINS:
            start = min(self._until_blank(self.at), end)
            self.blocks.append(Block(BlockKind.CODE, tuple(self.lines[self.at : start])))
            self._read_body(dedent(self.lines[start:end]), BlockKind.PROSE)
        else:
            kind = BlockKind.CODE if directive else BlockKind.MARKUP
            self.blocks.append(Block(kind, tuple(self.lines[self.at : end])))
        self.at = end
        return True

    def _doctest(self) -> bool:
        return self._text(self.at).startswith(">>>") and self._take(
            BlockKind.CODE, self._until_blank(self.at)
        )

    def _field(self) -> bool:
        found = _FIELD.match(self._text(self.at))
        return found is not None and self._take(BlockKind.FIELD, self._body_end(self.at + 1))

    def _line_block(self) -> bool:
        return self._text(self.at).startswith("| ") and self._take(
            BlockKind.TABLE, self._until_blank(self.at)
        )

    def _option(self) -> bool:
        found = _OPTION.match(self._text(self.at))
        return found is not None and self._take(BlockKind.FIELD, self._body_end(self.at + 1))

    def _item(self) -> bool:
        line = self.lines[self.at]
        length = list_marker(line.text)
        if not length:
            return False
        end = self._body_end(self.at + 1)
        first = SourceLine(line.number, line.text[length:])
        rest = [
            SourceLine(each.number, cut_indent(each.text, length)) for each in self.lines[self.at + 1 : end]
        ]
        self._read_body([first, *rest], BlockKind.LIST_ITEM)
        self.at = end
        return True

    def _paragraph(self) -> bool:
        end = self.at + 1
        while self._text(end) and self._text(end)[0] not in " \t" and not _starts_anew(self._text(end)):
            end += 1
        if end == self.at + 1 and self._text(end)[:1] in (" ", "\t"):
            return self._definition()
        text = " ".join(self._text(index) for index in range(self.at, end))
        self._take(BlockKind.LINKS if is_only_links(text) else BlockKind.PROSE, end)
        if text.endswith("::"):
            self._literal()
        return True

    def _definition(self) -> bool:
        term = section_word(self._text(self.at))
        end = self._body_end(self.at + 1)
        if term in self.conventions.fields:
            return self._take(BlockKind.FIELD, end)
        if term in self.conventions.examples or self._text(self.at).endswith("::"):
            return self._take(BlockKind.CODE, end)
        self.blocks.append(Block(BlockKind.FIELD, (self.lines[self.at],)))
        self._read_body(dedent(self.lines[self.at + 1 : end]), BlockKind.LIST_ITEM)
        self.at = end
        return True

    def _literal(self) -> None:
        while self.at < len(self.lines) and not self._text(self.at):
            self.at += 1
        if self.at == len(self.lines):
            return
        if self._text(self.at)[0] in " \t":
            self._take(BlockKind.CODE, self._body_end(self.at))
        elif not self._text(self.at)[0].isalnum() and not list_marker(self._text(self.at)):
            self._take(BlockKind.CODE, self._until_blank(self.at))


def dedent(lines: Sequence[SourceLine]) -> list[SourceLine]:
    """Take away the indentation that all filled lines share."""
    common = min((indent_of(line.text) for line in lines if line.text.strip()), default=0)
    return [SourceLine(line.number, cut_indent(line.text, common)) for line in lines]


def section_word(text: str) -> str:
    """Return what introduces a section of a docstring in the form of `Conventions`: `see-also`."""
    return "-".join(text.strip().rstrip(":").lower().split())


def _starts_anew(text: str) -> bool:
    return (
        bool(list_marker(text, numbers=False))
        or text.startswith((">>>", ".. "))
        or bool(_GRID.fullmatch(text))
    )
