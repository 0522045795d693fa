"""The rules of a digest on real documents: what is installed here, hundreds of files of every kind."""

import ast
import re
import sysconfig
import warnings
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from holdfast.tasks.agents.digest import check_digest, installed_readmes, summarise
from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.lines import fold
from holdfast.tasks.agents.digest.scan import KINDS, kind_of

PATHS = sysconfig.get_paths()
MOST_PER_KIND = 80


@cache
def real_files(suffix: str) -> list[Path]:
    """Up to 80 files of the standard library and the installed packages, spread evenly."""
    found = {path for place in ("stdlib", "purelib") for path in Path(PATHS[place]).rglob(f"*{suffix}")}
    small = sorted(path for path in found if path.is_file() and 500 < path.stat().st_size < 200_000)
    return small[:: len(small) // MOST_PER_KIND + 1]


@pytest.mark.parametrize("suffix", [suffix for suffix in KINDS if suffix != ".pdf"])
def test_installed_files_keep_every_rule(suffix):
    """Every digest of an installed document passes the check."""
    for path in real_files(suffix):
        data = path.read_bytes()
        try:
            data.decode()
        except UnicodeDecodeError:
            continue
        assert [] == check_digest(summarise(path.name, data, KINDS[suffix]), data), path


def test_installed_readmes_keep_every_rule():
    """Every README in the metadata of an installed package gives a digest that passes the check."""
    readmes = installed_readmes()
    assert len(readmes) > 20
    digests = []
    for name, text in readmes:
        kind = kind_of(name)
        assert kind is not None
        digest = summarise(name, text.encode(), kind)
        assert [] == check_digest(digest, text.encode()), name
        digests.append(digest)
    assert len([digest for digest in digests if len(digest.sentences) >= 3]) > 0.8 * len(digests)


def test_an_independent_parser_agrees_that_markdown_sentences_are_prose():
    """A CommonMark parser finds each key sentence within one paragraph, at lines that hold it."""
    parser = MarkdownIt("commonmark").enable("table")
    for name, text in installed_readmes():
        if not name.endswith(".md"):
            continue
        tokens = parser.parse(text)
        paragraphs = [
            (after.map or [0, 0], fold(after.content))
            for before, after in pairwise(tokens)
            if before.type == "paragraph_open"
        ]
        for sentence in summarise(name, text.encode(), Kind.MARKDOWN).sentences:
            assert any(
                first < sentence.first_line <= sentence.last_line <= end and sentence.source in content
                for (first, end), content in paragraphs
            ), (name, sentence)


def test_the_syntax_tree_agrees_that_python_sentences_are_docstrings():
    """Python's own parser finds each key sentence within a docstring."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in real_files(".py"):
        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tree = ast.parse(data)
                data.decode()
            except (SyntaxError, UnicodeDecodeError):
                continue
        places = [
            (node.body[0].lineno, node.body[0].end_lineno or 0)
            for node in ast.walk(tree)
            if isinstance(node, nodes) and ast.get_docstring(node) is not None
        ]
        for sentence in summarise(path.name, data, Kind.PYTHON).sentences:
            assert any(a <= sentence.first_line <= sentence.last_line <= b for a, b in places), (
                path,
                sentence,
            )


def test_no_badge_address_or_licence_is_quoted_from_installed_readmes():
    """What a reader would not want to see is not in the key sentences of good rank."""
    unwanted = re.compile(
        r"img\.shields|!\[|permission is hereby|without warrant|^see\b.*below", re.IGNORECASE
    )
    for name, text in installed_readmes():
        kind = kind_of(name)
        assert kind is not None
        sentences = summarise(name, text.encode(), kind).sentences
        assert not [each.text for each in sentences if unwanted.search(each.text)], name
