"""Every exception to a rule of the linters and type checkers carries its reason on the same line."""

import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

from holdfast.tests.support.repository import ROOT, place, python

WAIVER = re.compile(r"#\s*(?:ruff:\s*)?noqa|#\s*type:\s*ignore|#\s*pyright:|#\s*mypy:|#\s*nosec|#\s*pragma:")
WELL_FORMED = re.compile(
    r"""\#\s*(?:
        noqa:\s*(?:[A-Z]+\d+(?:,\s*)?)+ | type:\s*ignore\[[\w, -]+\] | pyright:\s*ignore\[[\w, ]+\]
      | pragma:\s*no\ (?:cover|branch)
    )""",
    re.VERBOSE,
)
SHORTEST_REASON = 8


def test_every_waiver_in_code_names_its_rule_and_its_reason():
    """A reader learns from the line itself which rule is broken and why."""
    bare = [
        f"{place(path, number)} {comment}"
        for path in python()
        for number, comment in _comments(path)
        if WAIVER.search(comment) and not _has_reason(comment)
    ]
    assert [] == bare


def test_every_ignored_rule_of_the_linter_has_its_reason():
    """Each entry of an ignore list in pyproject.toml stands on its own line with a comment."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    ignored = {*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)}
    explained = set(re.findall(r'^  "([A-Z]+\d*)",\s+# \S.{8,}$', text, re.MULTILINE))
    assert set() == ignored - explained


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def _has_reason(comment: str) -> bool:
    rest = WELL_FORMED.sub("", comment)
    return not WAIVER.search(rest) and len(rest.strip(" #:-—,.")) >= SHORTEST_REASON
