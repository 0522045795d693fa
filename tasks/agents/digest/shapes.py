"""What a line looks like: list marker, underline, table row, badge, code.

Readers ask these questions where a format gives no certain answer. Where in
doubt they say no to prose: a sentence left out is cheaper than a piece of code
quoted as one.
"""

import re
from collections.abc import Sequence

_BULLET = re.compile(r"[-*+\u2022\u2023\u25e6\u2043]\s+")
_NUMBER = re.compile(r"(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5}|#)[.)])\s+")
_UNDERLINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}")
_IMAGE = re.compile(r"!\[[^\]\[]*\](?:\([^()]*\)|\[[^\]\[]*\])?|<img\b[^<>]*>|\|[\w .:-]+\|")
_LINK = re.compile(
    r"\[[^\]\[]*\]\s?(?:\([^()]*\)|\[[^\]\[]*\])|`[^`<>]*<[^<>`]*>`__?|<?https?://\S+|<a\b[^<>]*>[^<]*</a>"
)
_CODE_START = re.compile(
    r"(?:>>>|\.\.\.\s|\$\s|#!|%\s|def |class |import |from \w[\w.]* import |return\b|@\w+|sudo |"
    r"pip3? install|#include|#define|</?\w+[ >/]|[\w.\[\]]+\s*[-+*/|]?=\s*\S|for \w+ in .*:$|if .*:$|"
    r"\w+:\s*[{\[]?$|[{}\[\]();]+$)"
)
_CODE_SIGNS = re.compile(r"[{}\[\]();=<>|\\/_$#%^&*+~@]")
_GAP = re.compile(r"\S(?:\t+|\s{3,})\S")
_WORD = re.compile(r"[^\W\d_]{2,}")


def list_marker(text: str, *, numbers: bool = True) -> int:
    """Return the length of the bullet or number that begins a list item, 0 when there is none."""
    found = _BULLET.match(text) or (_NUMBER.match(text) if numbers else None)
    return found.end() if found else 0


def is_underline(text: str) -> bool:
    """Whether this line is one punctuation sign repeated, three times or more."""
    return _UNDERLINE.fullmatch(text.strip()) is not None


def is_only_links(text: str) -> bool:
    """Whether there is nothing to read besides images, badges and links."""
    rest = _LINK.sub(" ", _IMAGE.sub(" ", text))
    return len(_WORD.findall(rest)) == 0


def has_image(text: str) -> bool:
    """Whether the text shows a picture or a badge."""
    return _IMAGE.search(text) is not None


def is_code_like(lines: Sequence[str]) -> bool:
    """Whether most of these lines read as program text or shell commands."""
    filled = [line.strip() for line in lines if line.strip()]
    suspects = sum(1 for line in filled if _CODE_START.match(line) or _sign_share(line) > 0.2)  # noqa: PLR2004 -- a share of the line, tuned by reading real files
    return suspects * 2 > len(filled)


def is_table_like(lines: Sequence[str]) -> bool:
    """Whether these lines stand in columns: two and at least half of them have a wide gap inside."""
    filled = [line.strip() for line in lines if line.strip()]
    gaps = sum(1 for line in filled if _GAP.search(line) or line.count("|") > 1)
    return gaps > 1 and gaps * 2 >= len(filled)


def _sign_share(line: str) -> float:
    return len(_CODE_SIGNS.findall(line)) / len(line)
