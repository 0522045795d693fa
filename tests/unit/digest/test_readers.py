"""What each reader takes for prose, code, tables and headings, and on which lines."""

import pytest

from holdfast.tasks.agents.digest.blocks import READABLE, BlockKind
from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.reader import read

PROSE = "The worker takes one job from the queue."


def readable(text: str, kind: Kind) -> list[tuple[str, int]]:
    """Each readable block with its first line."""
    reading = read(text.encode(), kind)
    return [(block.text(), block.lines[0].number) for block in reading.blocks if block.kind in READABLE]


MARKDOWN_NOT_PROSE = {
    "fence": f"```\n{PROSE}\n```",
    "fence with info": f"~~~ python\n{PROSE}\n~~~",
    "unclosed fence": f"```\n{PROSE}\n\n{PROSE}",
    "fence in list": f"- item\n\n  ```\n  {PROSE}\n  ```",
    "fence in quote": f"> ```\n> {PROSE}\n> ```",
    "indented code": f"text\n\n    {PROSE}",
    "tab code": f"text\n\n\t{PROSE}",
    "code in list": f"- item\n\n      {PROSE}",
    "table": f"| a | b |\n|---|---|\n| {PROSE} | c |",
    "table without bars": f"a | b\n--- | ---\n{PROSE} | c",
    "table row without bar": f"a | b\n--- | ---\nc | d\n{PROSE}",
    "atx heading": f"# {PROSE}",
    "setext heading": f"{PROSE}\n===",
    "setext of two lines": f"{PROSE}\n{PROSE}\n---",
    "comment": f"<!--\n{PROSE}\n\n{PROSE}\n-->",
    "html block": f"<div>\n{PROSE}\n</div>",
    "pre": f"<pre>\n\n{PROSE}\n</pre>",
    "front matter": f"---\ntitle: x\n{PROSE}\n---",
    "link definition": f"[a]: http://x.test '{PROSE}'",
    "footnote": f"[^1]: {PROSE}",
    "math": f"$$\n{PROSE}\n$$",
    "badges": "[![Build](https://x.test/b.svg)](https://x.test) ![Cover](c.svg)",
    "deep quotes": f"{'>' * 5000} {PROSE}",
}


@pytest.mark.parametrize("text", MARKDOWN_NOT_PROSE.values(), ids=MARKDOWN_NOT_PROSE)
def test_markdown_keeps_code_tables_headings_and_markup_out(text):
    """What Markdown marks as code, table, heading or markup is no prose."""
    assert not any(PROSE in block for block, _ in readable(text, Kind.MARKDOWN))


def test_markdown_prose_keeps_its_lines():
    """Prose, list items and quotes are read with the numbers of the file's lines."""
    text = f"# Title\n\n{PROSE}\nIt goes on here.\n\n- {PROSE}\n  And on.\n\n> {PROSE}\n"
    assert [
        (f"{PROSE} It goes on here.", 3),
        (f"{PROSE} And on.", 6),
        (PROSE, 9),
    ] == readable(text, Kind.MARKDOWN)


RESTRUCTURED_NOT_PROSE = {
    "literal block": f"Like this::\n\n    {PROSE}",
    "quoted literal": f"Like this::\n\n> {PROSE}",
    "code directive": f".. code-block:: python\n\n   {PROSE}",
    "comment": f".. {PROSE}\n   {PROSE}",
    "grid table": f"+----+\n| {PROSE} |\n+----+",
    "simple table": f"==== ====\n{PROSE}\n\n{PROSE}\n==== ====\n",
    "csv table": f".. csv-table::\n\n   {PROSE}",
    "title": f"{PROSE}\n{'~' * 60}",
    "overlined title": f"{'=' * 60}\n{PROSE}\n{'=' * 60}",
    "field": f":param x: {PROSE}\n   {PROSE}",
    "doctest": f">>> f()\n{PROSE}",
    "line block": f"| {PROSE}",
    "target": "__ https://x.test/the.worker.takes.one",
    "term": f"{PROSE}\n    A definition.",
    "option": f"--speed N  {PROSE}",
    "deep lists": "\n".join(f"{' ' * depth}- {PROSE}" for depth in range(0, 60, 2))[-200:],
}


@pytest.mark.parametrize("text", RESTRUCTURED_NOT_PROSE.values(), ids=RESTRUCTURED_NOT_PROSE)
def test_restructured_keeps_code_tables_headings_and_markup_out(text):
    """What reStructuredText marks as code, table, title or markup is no prose."""
    blocks = read(text.encode(), Kind.RESTRUCTUREDTEXT).blocks
    assert not any(PROSE in block.text() and block.kind is BlockKind.PROSE for block in blocks)


def test_restructured_reads_what_directives_describe():
    """The body of a function's directive is prose, on its own lines."""
    text = f".. function:: run(job)\n\n   {PROSE}\n\n   .. note:: {PROSE}\n"
    assert [(PROSE, 3), (PROSE, 5)] == readable(text, Kind.RESTRUCTUREDTEXT)


def test_html_drops_what_is_no_text_and_keeps_lines():
    """Scripts, tables, code and navigation go; entities are resolved; the lines are the file's."""
    text = (
        "<html><head><title>A &amp; B</title>\n<script>let x = '<p>No.</p>';</script></head>\n"
        "<body><nav>Go home.</nav><pre>Code is here.</pre><table><tr><td>A cell.</td></tr></table>\n"
        "<p>The <b>worker</b> takes\none job &mdash; and runs it.</p><h2>No heading.</h2>\n"
        "<li>An item.</li></body>"
    )
    assert [("The worker takes one job \u2014 and runs it.", 4), ("An item.", 6)] == readable(text, Kind.HTML)
    assert "A & B" == read(text.encode(), Kind.HTML).title


def test_python_reads_public_docstrings_only():
    """Docstrings of modules, classes and public functions are prose; code, fields and examples are not."""
    text = (
        'r"""The module.\n\nIt does things well.\n"""\n\n\nasync def run(x):\n    """Run it now.\n\n'
        '    Args:\n        x: A hidden thing.\n\n    >>> run(1)\n    A result.\n    """\n'
        '    y = """No docstring."""\n'
        '\n\ndef _private():\n    """Not read."""\n\n\n'
        'class Pool:\n    # a comment\n    "A pool of workers."\n'
    )
    expected = [
        ("The module.", 1),
        ("It does things well.", 3),
        ("Run it now.", 8),
        ("A pool of workers.", 25),
    ]
    assert expected == readable(text, Kind.PYTHON)
    assert "The module" == read(text.encode(), Kind.PYTHON).title


def test_broken_python_says_so():
    """Code that cannot be read to its end gives what stands before, and a note."""
    reading = read(b'"""The first docstring."""\nx = (\n', Kind.PYTHON)
    assert "The first docstring." == reading.blocks[0].text()
    assert "not valid Python" in reading.note


def test_plain_text_knows_titles_lists_and_columns():
    """Underlined titles, columns and indented code after `::` are no prose in a text file."""
    text = f"Title\n=====\n\n{PROSE}\n\nAs here::\n\n    {PROSE}\n\na      b\nc      d\n\n* {PROSE}\n"
    assert [(PROSE, 4), ("As here::", 6), (PROSE, 13)] == readable(text, Kind.TEXT)


def test_line_numbers_survive_every_line_end():
    """Windows and old Macintosh line ends count as editors count them; a form feed is no line end."""
    for line_end in ("\r\n", "\r", "\n"):
        assert [(PROSE, 3)] == readable(f"# T{line_end}{line_end}{PROSE}{line_end}", Kind.MARKDOWN)
    assert [("Ab. " + PROSE, 1)] == readable(f"Ab.\f{PROSE}\n", Kind.TEXT)


def test_a_long_document_is_cut_and_says_so():
    """Of a document beyond the limits the beginning is read, in whole lines."""
    reading = read((PROSE + "\n\n").encode() * 60_000, Kind.TEXT)
    assert 50_000 == len(reading.lines)
    assert "only the first" in reading.note
