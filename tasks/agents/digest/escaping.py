"""Foreign text in a Markdown report: it may say anything and must change nothing."""

import re

from holdfast.tasks.agents.digest.sentences import CODE_SPAN

_SPECIAL = re.compile(
    r"[\\`*\[\]<|~$^]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\S)#|&(?=#?\w{1,31};)|://|(?<=\bwww)\.|@(?=\w)"
)
_LINE_START = re.compile(r"([-+=:>]|\d{1,9}(?=[.)]))")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BACKTICKS = re.compile(r"`+")


def escaped(text: str) -> str:
    """Return one line of Markdown that shows this text, code spans kept, and is nothing else.

    No heading, list, link, picture, tag or emphasis can come out of it.
    """
    text = " ".join(_CONTROL.sub(" ", text).split())
    parts: list[str] = []
    place = 0
    for code in CODE_SPAN.finditer(text):
        parts += [_SPECIAL.sub(_backslashed, text[place : code.start()]), code[0]]
        place = code.end()
    line = "".join((*parts, _SPECIAL.sub(_backslashed, text[place:])))
    return _LINE_START.sub(_start_backslashed, line, count=1) if _LINE_START.match(line) else line


def code(text: str) -> str:
    """Return a code span that shows this text, whatever backticks it holds."""
    text = _CONTROL.sub("\ufffd", text)
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not text.strip() or text != text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _backslashed(found: re.Match[str]) -> str:
    return ":\\//" if found[0] == "://" else f"\\{found[0]}"


def _start_backslashed(found: re.Match[str]) -> str:
    return f"{found[1]}\\" if found[1].isdigit() else f"\\{found[1]}"
