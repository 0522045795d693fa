"""Where sentences end, and which of them may be key sentences."""

import pytest

from holdfast.tasks.agents.digest.blocks import Block, BlockKind
from holdfast.tasks.agents.digest.candidates import candidates_of, ends_as_sentence
from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.lines import SourceLine
from holdfast.tasks.agents.digest.sentences import sentences_of, spans

WHOLE = [
    "Use e.g. Redis or another broker, i.e. one that you know.",
    "Version 1.5 and v2.0.1 of Python 3.11.7 run here.",
    "Open setup.py and https://x.test/a.b?c=d. there.",
    "J. R. Smith wrote this with Dr. Who et al. in 2020.",
    "Call `a. B` and ``c. D`` to see it.",
    "It waits... and then goes on.",
    "See fig. 3 and sec. 4 of vol. 2 for it.",
    "This is the U.S. Army of workers.",
]


@pytest.mark.parametrize("text", WHOLE)
def test_abbreviations_versions_names_and_code_do_not_end_a_sentence(text):
    """A full stop inside a sentence does not cut it."""
    assert [(0, len(text))] == list(spans(text))


def test_sentences_are_cut_where_they_end():
    """Quotes, brackets and marks of footnotes stay with the sentence that they close."""
    text = 'He said "Stop." Then (he left.) Was it so? Yes! [1]_ ``run`` works. *It ends.* Done'
    parts = [
        'He said "Stop."',
        "Then (he left.)",
        "Was it so?",
        "Yes!",
        "``run`` works.",
        "*It ends.*",
        "Done",
    ]
    assert parts == [text[start:end] for start, end in spans(text)]


def test_a_sentence_knows_its_lines():
    """A sentence over several lines cites the first and the last of them."""
    lines = (
        SourceLine(7, "  One ends here.  The second"),
        SourceLine(8, "goes over three"),
        SourceLine(9, "lines. X"),
    )
    found = [
        (each.text, each.first_line, each.last_line) for each in sentences_of(Block(BlockKind.PROSE, lines))
    ]
    assert [("One ends here.", 7, 7), ("The second goes over three lines.", 7, 9), ("X", 9, 9)] == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It ends.", True),
        ('It "ends."', True),
        ("**It ends!**", True),
        ("Ends (so?)", True),
        ("It does not", False),
        ("As follows:", False),
        ("And so on...", False),
        ("And so on\u2026", False),
    ],
)
def test_the_end_of_a_sentence(text, expected):
    """A full stop, exclamation or question mark ends a sentence, an ellipsis or a colon does not."""
    assert expected == ends_as_sentence(text)


UNFIT = [
    "and this goes on from somewhere else. And so it does go on.",
    "The worker (which never closes takes a job.",
    "The worker takes `a job from the queue.",
    "The ![badge](x.svg) shows the build of the worker.",
    "The <b>worker</b> takes a job from the queue.",
    "The [ ] worker takes a job from the queue.",
    "The worker takes a job, e.g.",
    "The \u202eworker takes a job from the queue.",
]


@pytest.mark.parametrize("text", UNFIT)
def test_broken_sentences_are_never_chosen(text):
    """A fragment, open markup, a picture or a hidden control sign rules a sentence out."""
    lines = (SourceLine(1, "Before it stands a title"), SourceLine(2, text))
    texts = [each.sentence.text for each in candidates_of([Block(BlockKind.PROSE, lines)], Kind.MARKDOWN)]
    assert text not in texts


@pytest.mark.parametrize(
    "text",
    [
        "See the documentation of the worker for more about it.",
        "The table below lists all settings of the worker.",
        "Licensed under the Apache License to whoever wants it now.",
        "Fixed a crash of the worker when the broker goes away.",
        "The maintainers of this work with Tidelift to deliver support.",
        "Please open a pull request for the worker and its queue.",
    ],
)
def test_pointers_licences_changes_and_adverts_come_last(text):
    """What tells a reader nothing is marked, and taken only where nothing else stands."""
    (candidate,) = candidates_of([Block(BlockKind.PROSE, (SourceLine(1, text),))], Kind.MARKDOWN)
    assert 2 == candidate.lack
