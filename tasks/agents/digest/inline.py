"""Inline markup: the signs in a sentence that its readers never see.

What is taken away, and nothing else:

- Markdown: the marks of emphasis, strong and struck text; the targets of links
  and the brackets around what is linked; angle brackets around an address;
  footnote marks; backslashes before signs; entities become their signs.
- reStructuredText and docstrings: the marks of emphasis and strong text; roles
  and the targets of links; the underscore of a reference (not in docstrings,
  where it may be part of a name); footnote marks; backslashes before signs.

Code stays as it is, in its backticks. Text, HTML and PDF stay whole: what they
are read as holds no inline markup.
"""

import re
from collections.abc import Callable
from html import unescape

from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.sentences import CODE_SPAN

_SIGNS = frozenset("*_`[<\\&~:")
"""Where none of these stands there is no inline markup."""
_PRIVATE = range(0xE000, 0xF8FF)
"""Signs that stand for pieces of code while the rest is worked on."""
_TAKEN = re.compile("[\ue000-\uf8ff]")
_STRONG = re.compile(r"(?<![\w*\\])(\*{2,3})(?=[^\s*])(.{1,600}?)(?<=[^\s*\\])\1(?![\w*])")
_EMPHASIS = re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*]{1,600}?)(?<=[^\s*\\])\*(?![\w*])")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")

_UNDERLINED = re.compile(
    r"(?<![\w\\])(?!__[a-z_]{1,40}__(?!\w))(_{1,2})(?=[^\s_])(.{1,600}?)(?<=[^\s_\\])\1(?!\w)"
)
"""Names like `__init__` are left alone."""
_STRUCK = re.compile(r"~~(?=\S)([^~]{1,600}?)(?<=\S)~~")
_AUTOLINK = re.compile(r"<(https?://[^\s<>]{1,500}|[\w.+-]{1,80}@[\w.-]{1,80})>")
_FOOTNOTE = re.compile(r"\[\^[\w-]{1,40}\]")
_LINK = re.compile(
    r"(?<![!\\])\[((?:[^\[\]\\]|\\.){1,400})\]"
    r"(?:\((?:<[^<>]{0,500}>|(?:[^()\s]|\([^()\s]{0,200}\)){0,500})"
    r"(?:\s{1,3}(?:\"[^\"]{0,300}\"|'[^']{0,300}'|\([^()]{0,300}\)))?\s?\)|\[[^\[\]]{0,200}\])"
)

_LITERAL = re.compile(r"``(?=\S).{1,400}?(?<=\S)``(?!`)")
_TARGET = re.compile(r"(?::[\w:+.-]{1,60}:)?`([^`<>]{1,300}?)\s?<[^`<>]{1,500}>`(?:__?(?!\w))?")
_ROLE = re.compile(r"(?<![\w`]):[\w+.-]{1,40}(?::[\w+.-]{1,40})?:`[~!]?([^`]{1,300})`")
_REFERENCE = re.compile(r"(?<![\w`:])`([^`]{1,300})`__?(?!\w)")
_INTERPRETED = re.compile(r"(?<!`)`(?=[^\s`])[^`]{1,300}`(?!`)")
_RST_FOOTNOTE = re.compile(r"\s?\[(?:\d{1,4}|#[\w-]{0,40}|\*|[A-Za-z][\w.-]{0,40})\]_(?!\w)")
_WORD_REFERENCE = re.compile(r"(?<![\w`/.])([A-Za-z0-9](?:[\w.+-]{0,60}[A-Za-z0-9])?)__?(?![\w`(])")
_GLUE = re.compile(r"\\\s")


def without_markup(text: str, kind: Kind) -> str:
    """Return a folded sentence as its readers see it."""
    remove = _REMOVALS.get(kind)
    if remove is None or _SIGNS.isdisjoint(text) or _TAKEN.search(text):
        return text
    return " ".join(remove(_Code(), text).split())


class _Code:
    """Pieces of a text that must stay as they are, each behind one private sign."""

    def __init__(self) -> None:
        self._kept: list[str] = []

    def keep(self, piece: str) -> str:
        if len(self._kept) == len(_PRIVATE):
            return piece
        self._kept.append(piece)
        return chr(_PRIVATE[len(self._kept) - 1])

    def found(self, match: re.Match[str]) -> str:
        return self.keep(match[0])

    def role(self, match: re.Match[str]) -> str:
        return self.keep(f"`{match[1]}`")

    def back(self, text: str) -> str:
        return text.translate({_PRIVATE[place]: piece for place, piece in enumerate(self._kept)})


def _markdown(code: _Code, text: str) -> str:
    text = CODE_SPAN.sub(code.found, text)
    text = _AUTOLINK.sub(r"\1", text)
    text = _LINK.sub(r"\1", _FOOTNOTE.sub("", text))
    text = _EMPHASIS.sub(r"\1", _STRONG.sub(r"\2", text))
    text = _STRUCK.sub(r"\1", _UNDERLINED.sub(r"\2", text))
    return code.back(unescape(_BACKSLASH.sub(r"\1", text)))


def _docstring(code: _Code, text: str) -> str:
    return code.back(_plain_docstring(code, text))


def _restructured(code: _Code, text: str) -> str:
    return code.back(_WORD_REFERENCE.sub(r"\1", _plain_docstring(code, text)))


def _plain_docstring(code: _Code, text: str) -> str:
    text = _LITERAL.sub(code.found, text)
    text = _ROLE.sub(code.role, _TARGET.sub(r"\1", text))
    text = _INTERPRETED.sub(code.found, _REFERENCE.sub(r"\1", text))
    text = _EMPHASIS.sub(r"\1", _STRONG.sub(r"\2", _RST_FOOTNOTE.sub("", text)))
    return _BACKSLASH.sub(r"\1", _GLUE.sub("", text))


_REMOVALS: dict[Kind, Callable[[_Code, str], str]] = {
    Kind.MARKDOWN: _markdown,
    Kind.RESTRUCTUREDTEXT: _restructured,
    Kind.PYTHON: _docstring,
}
