"""What of a sentence is markup, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.inline import without_markup

MARKDOWN = {
    "It runs **agent jobs** in *one* loop.": "It runs agent jobs in one loop.",
    "It is ***both*** and ~~not~~ __this one__ or _that_.": "It is both and not this one or that.",
    "See [Semantic Versioning](https://semver.org) now.": "See Semantic Versioning now.",
    'A [link](<a b> "title") and [one](a_(b).md), [two][ref], [three][].': "A link and one, two, three.",
    "Write to <a@b.test> or <https://x.test/a_b_c>.": "Write to a@b.test or https://x.test/a_b_c.",
    "A note[^1] and \\_a sign\\_ &amp; more.": "A note and _a sign_ & more.",
    "Call `**kwargs` and ``a `[b](c)` d``.": "Call `**kwargs` and ``a `[b](c)` d``.",
    "Bold **`code`** stays.": "Bold `code` stays.",
    "Keep snake_case_names, 2*3*4, a * b, *args, __init__ and list[int].": (
        "Keep snake_case_names, 2*3*4, a * b, *args, __init__ and list[int]."
    ),
}
RESTRUCTURED = {
    "Use **strong** and *weak* words.": "Use strong and weak words.",
    "See `the docs <https://x.test>`_ and rich_ and `more words`__.": "See the docs and rich and more words.",
    "A :class:`Pool` and :py:func:`~a.b` in :ref:`chapter one <one>`.": "A `Pool` and `a.b` in chapter one.",
    "As told [1]_ and [#note]_ here.": "As told and here.",
    "The ``*args*`` of `x_` stay.": "The ``*args*`` of `x_` stay.",
    "Takes *args and **kwargs, snake_case and a\\*b.": "Takes *args and **kwargs, snake_case and a*b.",
}


@pytest.mark.parametrize(("source", "shown"), MARKDOWN.items())
def test_markdown_is_shown_as_its_readers_see_it(source, shown):
    """Marks, targets and escapes go; code, names and sums stay."""
    assert shown == without_markup(source, Kind.MARKDOWN)


@pytest.mark.parametrize(("source", "shown"), RESTRUCTURED.items())
def test_restructured_text_is_shown_as_its_readers_see_it(source, shown):
    """Marks, roles, references and footnotes go; literals stay."""
    assert shown == without_markup(source, Kind.RESTRUCTUREDTEXT)


def test_a_name_in_a_docstring_keeps_its_underscore():
    """In a docstring `class_` is a name and no reference."""
    assert "The class_ of *it*.".replace("*", "") == without_markup("The class_ of *it*.", Kind.PYTHON)


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.HTML, Kind.PDF])
def test_where_there_is_no_inline_markup_nothing_is_taken(kind):
    """Text, and what was read from HTML and PDF, stays whole."""
    assert "A *b* [c](d) `e`_." == without_markup("A *b* [c](d) `e`_.", kind)


@given(st.text(alphabet="ab 1*_`[]()<>~\\\\&;:^#.\ue000", max_size=60), st.sampled_from(list(Kind)))
def test_only_markup_is_taken_away(text, kind):
    """What is left are words of the source, in their order."""
    left = iter(" ".join(text.split()))
    assert all(sign in left for sign in without_markup(" ".join(text.split()), kind))
