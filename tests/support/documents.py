"""The documents of this repository as data: their blocks of code, links, and what they name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from holdfast.tests.support.repository import ROOT

_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"<!-- snippet: (?P<name>[\w-]+) -->\n\Z")
_MODULE = re.compile(r"# (?P<file>\w+(?:/\w+)*\.py)\n")
_PRINTS = re.compile(r"# -> (?P<text>.*?)(?=\s+# -> |$)", re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^()\s]+)\)")
_SPAN = re.compile(r"(?<!`)`(?P<text>[^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One fenced block."""

    document: Path
    line: int
    language: str
    name: str
    code: str

    @property
    def place(self) -> str:
        """Where it stands, as editors open it."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def module(self) -> str | None:
        """The file that it says it belongs into; None for a program."""
        found = _MODULE.match(self.code)
        return found["file"] if found else None

    @property
    def prints(self) -> list[str]:
        """The lines that it says it prints."""
        return [found["text"].strip() for found in _PRINTS.finditer(self.code)]


@cache
def documents() -> tuple[Path, ...]:
    """List the documents that people read, the decision records included."""
    return (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))


@cache
def snippets(document: Path) -> tuple[Snippet, ...]:
    """Give the fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    found: list[Snippet] = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        name = _NAME.search(before)
        found.append(
            Snippet(
                document,
                before.count("\n") + 1,
                match["language"],
                name["name"] if name else "",
                match["code"],
            )
        )
    return tuple(found)


def links(document: Path) -> Iterator[tuple[str, str]]:
    """Give path and anchor of each link that stays inside the repository."""
    for match in _LINK.finditer(_prose(document)):
        target = match["target"]
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield path, anchor


def spans(document: Path) -> Iterator[str]:
    """Give what stands between backticks in the running text."""
    for match in _SPAN.finditer(_prose(document)):
        yield match["text"]


@cache
def anchors(document: Path) -> frozenset[str]:
    """Give the anchors of a document's headings, as the usual web pages make them."""
    headings = re.findall(r"^#+ (.+)$", _prose(document), re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    )


def _prose(document: Path) -> str:
    return _FENCE.sub("", document.read_text(encoding="utf-8"))
