"""Markdown as blocks: what CommonMark and its common extensions keep apart, line by line.

Where the rules are subtle (lazy continuation, nested containers) this reader
leans to the safe side: what might be code, markup or a table is not prose.
"""

import re
from collections.abc import Sequence

from holdfast.tasks.agents.digest.blocks import READABLE, Block, BlockKind, Reading
from holdfast.tasks.agents.digest.lines import SourceLine, cut_indent, indent_of
from holdfast.tasks.agents.digest.shapes import is_only_links, list_marker
from holdfast.tasks.agents.digest.titles import first_title

_TAB = 4
_CODE_INDENT = 4
_DEEPEST = 10
"""Quotes within quotes that are opened; what lies deeper is no text for a reader."""
_FENCE = re.compile(r"(`{3,}(?!.*`)|~{3,})")
_HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$|(?=[A-Z]))")
_RULE = re.compile(r"(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})")
_SETEXT = re.compile(r"(=+|-+)[ \t]*")
_DELIMITER_ROW = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_DEFINITION = re.compile(r"\[[^\]]+\]:(?:[ \t]|$)")
_LONE_MARKUP = re.compile(r"(?::{3,}|!!!|\?\?\?|\{[%#]|\[toc\]|\[!\w+\]|%%).*", re.IGNORECASE)
_HTML_RAW = re.compile(r"<(script|pre|style|textarea)\b", re.IGNORECASE)
_HTML_BLOCK = re.compile(
    r"<(?:[?]|![A-Za-z\[])|</?(?:address|article|aside|base|blockquote|body|br|caption|center|col|colgroup|dd|details|"
    r"dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|h[1-6]|head|header|hr|html|iframe|"
    r"legend|li|link|main|menu|nav|ol|optgroup|option|p|picture|section|source|summary|table|tbody|td|tfoot|th|"
    r"thead|title|tr|ul|video)(?:[\s/>]|$)",
    re.IGNORECASE,
)
_LONE_TAG = re.compile(r"</?[A-Za-z][^<>]*>[ \t]*")
_FRONT_MATTER = {"---": ("---", "..."), "+++": ("+++",)}


def read_markdown(lines: Sequence[SourceLine]) -> Reading:
    """Read a whole file; front matter may stand at its top."""
    start = _front_matter_end(lines)
    head = [Block(BlockKind.FRONT_MATTER, tuple(lines[:start]))] if start else []
    blocks = (*head, *_Markdown(lines[start:]).read())
    return Reading(first_title(blocks, lines), blocks)


def _front_matter_end(lines: Sequence[SourceLine]) -> int:
    closers = _FRONT_MATTER.get(lines[0].text.rstrip()) if lines else None
    if closers is None:
        return 0
    ends = (index for index, line in enumerate(lines[1:], start=2) if line.text.rstrip() in closers)
    return next(ends, 0)


class _Markdown:
    def __init__(self, lines: Sequence[SourceLine], depth: int = 0) -> None:
        self._lines = list(lines)
        self._depth = depth
        self._at = 0
        self._items: list[int] = []
        self._blocks: list[Block] = []

    def read(self) -> list[Block]:
        steps = (
            self._blank,
            self._leave_items,
            self._indented_code,
            self._fence,
            self._math,
            self._html,
            self._heading,
            self._rule,
            self._quote,
            self._table,
            self._definitions,
            self._lone_markup,
            self._enter_item,
            self._paragraph,
        )
        while self._at < len(self._lines):
            next(step for step in steps if step())
        return self._blocks

    def _text(self, index: int) -> str:
        """The line without indentation, empty past the end."""
        return self._lines[index].text.strip() if index < len(self._lines) else ""

    def _indent(self, index: int) -> int:
        return indent_of(self._lines[index].text, _TAB)

    def _take(self, kind: BlockKind, end: int, level: int = 0) -> bool:
        self._blocks.append(Block(kind, tuple(self._lines[self._at : end]), level))
        self._at = end
        return True

    def _until_blank(self, start: int) -> int:
        end = start
        while end < len(self._lines) and self._text(end):
            end += 1
        return end

    def _until(self, start: int, mark: str) -> int:
        """The index after the first line, from `start`, that holds the mark."""
        end = start
        while end < len(self._lines) and mark not in self._lines[end].text.lower():
            end += 1
        return min(end + 1, len(self._lines))

    def _blank(self) -> bool:
        if self._text(self._at):
            return False
        self._at += 1
        return True

    def _leave_items(self) -> bool:
        while self._items and self._indent(self._at) < self._items[-1]:
            self._items.pop()
        return False

    def _indented_code(self) -> bool:
        floor = (self._items[-1] if self._items else 0) + _CODE_INDENT
        end = self._at
        while end < len(self._lines) and (not self._text(end) or self._indent(end) >= floor):
            end += 1
        return end > self._at and self._take(BlockKind.CODE, end)

    def _fence(self) -> bool:
        opening = _FENCE.match(self._text(self._at))
        if opening is None:
            return False
        mark, end = opening[1], self._at + 1
        while end < len(self._lines):
            text = self._text(end)
            end += 1
            if text.startswith(mark) and not text.strip(mark[0]):
                break
        return self._take(BlockKind.CODE, end)

    def _math(self) -> bool:
        text = self._text(self._at)
        if not text.startswith("$$"):
            return False
        closed = text.endswith("$$") and len(text) > len("$$")
        return self._take(BlockKind.CODE, self._at + 1 if closed else self._until(self._at + 1, "$$"))

    def _html(self) -> bool:
        text = self._text(self._at)
        raw = _HTML_RAW.match(text)
        if text.startswith("<!--"):
            return self._take(BlockKind.MARKUP, self._until(self._at, "-->"))
        if raw:
            return self._take(BlockKind.CODE, self._until(self._at, f"</{raw[1].lower()}"))
        if _HTML_BLOCK.match(text) or _LONE_TAG.fullmatch(text):
            return self._take(BlockKind.MARKUP, self._until_blank(self._at))
        return False

    def _heading(self) -> bool:
        found = _HEADING.match(self._text(self._at))
        return found is not None and self._take(BlockKind.HEADING, self._at + 1, len(found[1]))

    def _rule(self) -> bool:
        found = _RULE.fullmatch(self._text(self._at))
        return found is not None and self._take(BlockKind.MARKUP, self._at + 1)

    def _quote(self) -> bool:
        if not self._text(self._at).startswith(">"):
            return False
        end = self._at + 1
        while self._text(end).startswith(">") or (self._text(end - 1).strip("> ") and self._is_plain(end)):
            end += 1
        if self._depth == _DEEPEST:
            return self._take(BlockKind.MARKUP, end)
        inner = [SourceLine(line.number, _unquote(line.text)) for line in self._lines[self._at : end]]
        for block in _Markdown(inner, self._depth + 1).read():
            kind = BlockKind.QUOTE if block.kind in READABLE else block.kind
            self._blocks.append(Block(kind, block.lines, block.level))
        self._at = end
        return True

    def _table(self) -> bool:
        if not self._is_table(self._at):
            return False
        end = self._at + 1
        while "|" in self._text(end) or self._is_plain(end):  # a row may lack its bars
            end += 1
        return self._take(BlockKind.TABLE, end)

    def _is_table(self, index: int) -> bool:
        text, after = self._text(index), self._text(index + 1)
        return text.startswith("|") or (
            "|" in text and "|" in after and bool(_DELIMITER_ROW.fullmatch(after))
        )

    def _definitions(self) -> bool:
        if not _DEFINITION.match(self._text(self._at)):
            return False
        return self._take(BlockKind.FIELD, self._until_blank(self._at))

    def _lone_markup(self) -> bool:
        found = _LONE_MARKUP.fullmatch(self._text(self._at))
        return found is not None and self._take(BlockKind.MARKUP, self._at + 1)

    def _enter_item(self) -> bool:
        """Open a list item: turn its marker into indentation and read on."""
        line = self._lines[self._at]
        length = list_marker(line.text.lstrip())
        if not length:
            return False
        indent = self._indent(self._at) + length
        self._items.append(indent)
        self._lines[self._at] = SourceLine(line.number, " " * indent + line.text.lstrip()[length:].lstrip())
        return True

    def _paragraph(self) -> bool:
        end = self._at + 1
        while self._is_plain(end):
            underline = _SETEXT.fullmatch(self._text(end))
            if underline:
                return self._take(BlockKind.HEADING, end + 1, 1 if underline[1][0] == "=" else 2)
            end += 1
        text = " ".join(self._text(index) for index in range(self._at, end))
        if is_only_links(text):
            return self._take(BlockKind.LINKS, end)
        return self._take(BlockKind.LIST_ITEM if self._items else BlockKind.PROSE, end)

    def _is_plain(self, index: int) -> bool:
        """Whether this line goes on with the paragraph above it (an underline included)."""
        text = self._text(index)
        if not text:
            return False
        if _SETEXT.fullmatch(text) and self._indent(index) < _CODE_INDENT + (self._items or [0])[-1]:
            return True
        return not (
            text[0] == ">"
            or _FENCE.match(text)
            or _HEADING.match(text)
            or _RULE.fullmatch(text)
            or text.startswith("<!--")
            or _HTML_RAW.match(text)
            or _HTML_BLOCK.match(text)
            or _LONE_MARKUP.fullmatch(text)
            or self._is_table(index)
            or list_marker(text, numbers=bool(self._items) or text.startswith(("1.", "1)")))
        )


def _unquote(line: str) -> str:
    rest = line.lstrip()
    return cut_indent(rest[1:], 1, _TAB) if rest.startswith(">") else line
