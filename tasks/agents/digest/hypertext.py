"""HTML as blocks: the text of its elements, by the lines on which that text stands."""

import re
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser

from typing_extensions import override

from holdfast.tasks.agents.digest.blocks import READABLE, Block, BlockKind, Reading
from holdfast.tasks.agents.digest.lines import SourceLine, split_lines
from holdfast.tasks.agents.digest.shapes import is_only_links
from holdfast.tasks.agents.digest.titles import first_title, plain_title
from holdfast.tasks.agents.digest.words import word_set

_DROPPED = word_set(
    "script style pre table nav footer aside form button select noscript template svg math iframe "
    "textarea object video audio canvas dialog menu samp listing xmp"
)
_DROPPED_ROLES = word_set(
    "navigation nav navbar sidebar sphinxsidebar toc toctree toctree-wrapper breadcrumb breadcrumbs "
    "menu footer headerlink related copyright literal-block highlight admonition-title search banner "
    "contentinfo line-numbers sourcecode"
)
_KINDS = {
    **{f"h{level}": BlockKind.HEADING for level in range(1, 7)},
    "li": BlockKind.LIST_ITEM,
    "blockquote": BlockKind.QUOTE,
    "dd": BlockKind.LIST_ITEM,
    "dt": BlockKind.FIELD,
    "summary": BlockKind.MARKUP,
    "label": BlockKind.MARKUP,
    "figcaption": BlockKind.MARKUP,
    "title": BlockKind.FRONT_MATTER,
}
_PLAIN_BLOCKS = word_set(
    "p div section article main header body html head address details dl fieldset figure hgroup hr ul "
    "ol center meta link legend"
)
_VOID = word_set("area base br col embed hr img input link meta source track wbr")
_OPENING = re.compile(r"<(?=[A-Za-z/!?])")
_TAG = re.compile(r"<(?:\"[^\"]*\"|'[^']*'|[^'\"<>]){0,4000}>")
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
_RAW = re.compile(r"<(script|style)\b", re.IGNORECASE)


def read_hypertext(text: str) -> Reading:
    """Read a page; what is not closed properly is taken as browsers would, or left out."""
    parser = _Page()
    parser.feed(_without_open_end("\n".join(split_lines(text))))
    parser.close()
    parser.end_block()
    titles = [block for block in parser.blocks if block.kind is BlockKind.FRONT_MATTER]
    title = plain_title(titles[0].text()) if titles else ""
    return Reading(title or first_title(parser.blocks), tuple(parser.blocks))


def visible_lines(text: str) -> list[str]:
    """Return each line without tags and comments, entities resolved, `<br>` as a space.

    This is what "verbatim" means for HTML. It is found by another road than
    `read_hypertext` takes, so that one proves the other.
    """
    text = "\n".join(split_lines(text))
    parts: list[str] = []
    place = 0
    while opening := _OPENING.search(text, place):
        end = _end_of_markup(text, opening.start())
        gone = text[opening.start() : end]
        parts += [text[place : opening.start()], " " if _BREAK.match(gone) else "\n" * gone.count("\n")]
        place = end
    return [unescape(line) for line in "".join((*parts, text[place:])).split("\n")]


def _end_of_markup(text: str, start: int) -> int:
    if text.startswith("<!--", start):
        return _after(text, "-->", start)
    raw = _RAW.match(text, start)
    if raw:
        return _after(text, ">", _after(text, f"</{raw[1]}", start) - 1)
    tag = _TAG.match(text, start)
    return tag.end() if tag else start + 1


def _after(text: str, mark: str, start: int) -> int:
    found = text.find(mark, start)
    return found + len(mark) if found >= 0 else len(text)


def _without_open_end(text: str) -> str:
    """Cut what begins and never ends, over which a parser would go again and again."""
    lowered = text.lower()
    for opening, closing in (("<!--", "-->"), ("<script", "</script"), ("<style", "</style"), ("<", ">")):
        start = lowered.find(opening, lowered.rfind(closing) + 1)
        if start >= 0:
            lowered = lowered[:start]
    return text[: len(lowered)] if len(lowered) < len(text) else text


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._pieces: list[SourceLine] = []
        self._open: list[str] = []
        self._dropping: str | None = None
        self._depth = 0
        self._code_depth = 0
        self._code_characters = 0

    @override
    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if self._dropping:
            self._depth += 1 if tag == self._dropping else 0
        elif tag == "br":
            self._pieces.append(SourceLine(self.getpos()[0], " "))
        elif tag in _DROPPED or (tag not in _VOID and _is_dropped_role(attrs)):
            self._dropping, self._depth = tag, 1
            if tag not in ("a", "span", "samp"):
                self.end_block()
        elif tag in _KINDS or tag in _PLAIN_BLOCKS:
            self.end_block()
            if tag in _KINDS:
                self._open.append(tag)
        elif tag in ("code", "tt", "kbd"):
            self._code_depth += 1

    @override
    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            self._depth -= 1 if tag == self._dropping else 0
            self._dropping = self._dropping if self._depth else None
        elif tag in _KINDS or tag in _PLAIN_BLOCKS:
            self.end_block()
            if tag in self._open:
                del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]
        elif tag in ("code", "tt", "kbd"):
            self._code_depth = max(0, self._code_depth - 1)

    @override
    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.handle_starttag(tag, attrs)

    @override
    def handle_data(self, data: str) -> None:
        if self._dropping:
            return
        first = self.getpos()[0]
        self._pieces.extend(SourceLine(first + index, part) for index, part in enumerate(data.split("\n")))
        self._code_characters += len(data.strip()) if self._code_depth else 0

    def end_block(self) -> None:
        """Close the block that is being collected, if it holds any text."""
        lines = _joined(self._pieces)
        code = self._code_characters
        self._pieces, self._code_characters = [], 0
        text = " ".join(line.text for line in lines).strip()
        if not text:
            return
        tag = self._open[-1] if self._open else "p"
        kind = _KINDS.get(tag, BlockKind.PROSE)
        if code * 2 > len(text):
            kind = BlockKind.CODE
        elif kind in READABLE and is_only_links(text):
            kind = BlockKind.LINKS
        self.blocks.append(Block(kind, lines, int(tag[1]) if kind is BlockKind.HEADING else 0))


def _joined(pieces: Sequence[SourceLine]) -> tuple[SourceLine, ...]:
    texts: dict[int, list[str]] = {}
    for piece in pieces:
        texts.setdefault(piece.number, []).append(piece.text)
    return tuple(SourceLine(number, "".join(parts)) for number, parts in texts.items())


def _is_dropped_role(attrs: Sequence[tuple[str, str | None]]) -> bool:
    named = {
        name: value or "" for name, value in attrs if name in ("class", "role", "id", "hidden", "aria-hidden")
    }
    words = " ".join(named.get(name, "") for name in ("class", "role", "id")).lower().split()
    return "hidden" in named or named.get("aria-hidden") == "true" or not _DROPPED_ROLES.isdisjoint(words)
