"""Splitting technical English into sentences.

A full stop ends a sentence only when what stands before and after it agrees:
abbreviations, initials, versions, file names, addresses and code stay whole.
In doubt two sentences stay together.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.tasks.agents.digest.blocks import Block
from holdfast.tasks.agents.digest.words import word_set

_END = re.compile(r"[.!?]+[\"'\u2019\u201d\u00bb)\]}*_`]*(?=\s|$)")
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^\n]{1,400}?(?<!`)\1(?!`)")
"""Text between two equal runs of backticks."""
_NEXT_START = re.compile(
    r"[\"'\u2018\u201c\u201e\u00ab\u00a1\u00bf(\[*_`:]*[A-Z0-9\u00c0-\u00de\u0391-\u03a9\u0410-\u042f]|[\"\u201c(\[]*`|\[\^|\|\w"
)
_BEFORE = re.compile(r"([^\s(\[\"'*_`]+)$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")
_LEADING_MARK = re.compile(r"(?:\[[\^#*]?[\w-]{1,12}\]_?\s+)+")
_ABBREVIATIONS = word_set(
    "al approx bzw ca cf ch chap col corp dept dr e.g ed eds eq esp est etc evtl ex fig figs gen ggf i.e "
    "inc incl jr ltd max min mr mrs ms no nos nr p para pg pp prof ref refs resp rev sec sect sr st tab "
    "v var ver vers vgl viz vol vs w.r.t"
)
_MAY_END = frozenset(
    {"etc", "inc", "ltd", "corp", "al", "jr", "sr", "max", "min", "no", "ref", "var", "ex", "tab", "st"}
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a block, with the lines on which it begins and ends."""

    text: str
    first_line: int
    last_line: int
    opens_block: bool


def sentences_of(block: Block) -> Iterator[Sentence]:
    """Yield the sentences of a block; the last one may lack its full stop."""
    text, lines = block.text(), block.line_numbers()
    for start, end in spans(text):
        yield Sentence(text[start:end], lines.at(start), lines.at(end - 1), start == 0)


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each sentence of a folded text begins and ends."""
    code = [found.span() for found in CODE_SPAN.finditer(text)] if "`" in text else []
    start = _skip_marks(text, 0)
    for found in _END.finditer(text):
        end = found.end()
        if end > start and not _is_inside(found.start(), code) and _ends_here(text, start, found):
            yield start, end
            start = _skip_marks(text, end + 1)
    if start < len(text):
        yield start, len(text)


def _skip_marks(text: str, start: int) -> int:
    """Step over footnote marks that belong to the sentence before."""
    marks = _LEADING_MARK.match(text, start)
    return marks.end() if marks and start else start


def _is_inside(place: int, spans_of_code: list[tuple[int, int]]) -> bool:
    index = bisect_right(spans_of_code, (place, place)) - 1
    return index >= 0 and place < spans_of_code[index][1] - 1


def _ends_here(text: str, start: int, found: re.Match[str]) -> bool:
    after = text[found.end() : found.end() + 12].lstrip()
    if not after:
        return True
    if not _NEXT_START.match(after):
        return False
    if not found[0].startswith(".") or found[0].startswith(".."):
        return True
    word = _BEFORE.search(text, max(start, found.start() - 40), found.start())
    return word is None or not _is_abbreviated(word[1], after, is_first=word.start() == start)


def _is_abbreviated(word: str, after: str, *, is_first: bool) -> bool:
    lowered = word.lower().lstrip("(")
    if lowered in _MAY_END:
        return lowered != "etc" and after[0].isdigit()
    if lowered in _ABBREVIATIONS:
        return True
    if is_first and (word.isdigit() or len(word) == 1):
        return True
    return _INITIALS.fullmatch(word) is not None and word != "I"
