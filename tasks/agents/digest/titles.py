"""The title of a document, as plain words."""

import re
from collections.abc import Sequence
from html import unescape

from holdfast.tasks.agents.digest.blocks import Block
from holdfast.tasks.agents.digest.lines import SourceLine, fold
from holdfast.tasks.agents.digest.sections import title_heading
from holdfast.tasks.agents.digest.shapes import is_underline

MAX_TITLE_CHARACTERS = 120
_SEARCHED_LINES = 60
_READ_CHARACTERS = 2_000
_H1 = re.compile(r"<h1\b[^<>]*>(.{0,2000}?)</h1>", re.IGNORECASE | re.DOTALL)
_IMAGE = re.compile(r"!\[[^\]\[]*\](?:\([^()]*\)|\[[^\]\[]*\])?")
_LINK = re.compile(r"\[([^\]\[]*)\](?:\([^()]*\)|\[[^\]\[]*\])?")
_ROLE = re.compile(r":[\w:]+:`~?([^`<]*)(?:<[^>]*>)?`")
_TAG = re.compile(r"<[^<>]*>")
_SIGNS = re.compile(
    r"[*`#|\\{}]+|(?<!\w)_+|_+(?!\w)|[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_WORD = re.compile(r"[^\W\d_]")


def first_title(blocks: Sequence[Block], lines: Sequence[SourceLine] = ()) -> str:
    """Return what the document calls itself: its heading, else an HTML h1 near the top, else nothing."""
    top = "\n".join(line.text[:_READ_CHARACTERS] for line in lines[:_SEARCHED_LINES])
    banner = _H1.search(top)
    heading = title_heading(blocks)
    return (plain_title(heading.text()) if heading else "") or (plain_title(banner[1]) if banner else "")


def plain_title(text: str) -> str:
    """Take markup away and cut what is too long; empty when no letter is left."""
    text = text[:_READ_CHARACTERS]
    text = unescape(_TAG.sub(" ", _ROLE.sub(r"\1", _LINK.sub(r"\1", _IMAGE.sub(" ", text)))))
    words = [word for word in fold(_SIGNS.sub(" ", text)).split(" ") if not is_underline(word)]
    title = " ".join(words).rstrip(":").strip()
    if not _WORD.search(title):
        return ""
    return (
        title if len(title) <= MAX_TITLE_CHARACTERS else title[: MAX_TITLE_CHARACTERS - 1].rstrip() + "\u2026"
    )
