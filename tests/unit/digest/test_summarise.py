"""The digest of one document, and the rules that it keeps."""

import time
from itertools import product

import pytest

from holdfast.tasks.agents.digest import check_digest, portable, scan, summarise
from holdfast.tasks.agents.digest.document import DocumentDigest, Kind, SkipReason, UnreadableDocument
from holdfast.tasks.agents.digest.jobs import digest_document, verdict_of
from holdfast.tasks.agents.digest.words import shared_share, words_of

WORDS = ["".join(parts) for parts in product(("ra", "no", "ti", "lu", "me", "so", "da", "ki"), repeat=3)]


def sentence(number: int) -> str:
    """A sentence that shares less than half of its words with any other."""
    first, second, third, fourth, fifth, sixth = (
        WORDS[(number * step + 17) % 512] for step in (1, 3, 7, 13, 29, 31)
    )
    return f"The {first} {second} {third} every {fourth} within a {fifth} and {sixth} of it."


TEXT = "# Jobs\n\n" + "\n\n".join(map(sentence, range(1, 100)))
LONG_TEXT = "# Jobs\n\n" + "\n\n".join(map(sentence, range(1, 700)))


def digest(text: str, kind: Kind = Kind.MARKDOWN) -> DocumentDigest:
    """The digest of a text, checked."""
    found = summarise("a.md", text.encode(), kind)
    assert [] == check_digest(found, text.encode())
    return found


def test_a_long_document_gives_five_different_sentences_in_its_order():
    """Five key sentences, in the order of the document, each sharing less than 0.6 of its words."""
    sentences = digest(TEXT).sentences
    words = [frozenset(words_of(each.text)) for each in sentences]
    assert 5 == len(sentences)
    assert sorted(each.first_line for each in sentences) == [each.first_line for each in sentences]
    assert all(shared_share(a, b) < 0.6 for i, a in enumerate(words) for b in words[:i])


def test_the_same_bytes_give_the_same_digest():
    """Nothing but the time spent differs between two runs."""
    one, other = (digest(TEXT).model_copy(update={"seconds": 0}) for _ in range(2))
    assert one == other


def test_a_digest_survives_json():
    """A digest read back from its JSON is the same record."""
    found = digest(TEXT)
    assert found == DocumentDigest.model_validate_json(found.model_dump_json())


def test_prose_is_preferred_to_change_entries():
    """Change entries are not quoted where prose stands."""
    prose = "The pool runs jobs on one loop. A lease tells who may write. Parked work holds no slot at all."
    changes = "\n".join(
        f"- Fixed issue #{n} in the handling of leases by the pool of workers." for n in range(20)
    )
    found = digest(f"# Pool\n\n## Changes\n\n{changes}\n\n## Design\n\n{prose}\n")
    assert prose == " ".join(each.text for each in found.sentences)


def test_too_few_sentences_are_explained():
    """A document with less to say gives fewer sentences and a note."""
    found = digest("# A\n\nThe worker takes one job from the queue.\n\n```\ncode here.\n```\n")
    assert 1 == len(found.sentences)
    assert "only one sentence to quote: no other stands whole outside code, tables and headings" == found.note
    assert digest("# A\n\n```\ncode here.\n```\n").note.startswith("nothing to quote")


def test_a_short_document_shows_what_it_has():
    """Few and short sentences are key sentences all the same where no others stand."""
    found = digest("secret text. It is private.\n", Kind.TEXT)
    assert ["secret text.", "It is private."] == [each.text for each in found.sentences]
    assert "only two sentences" in found.note
    long = "The worker " + "and the next worker " * 40 + "take one job."
    assert [long] == [each.text for each in digest(long).sentences]


def test_short_sentences_are_the_last_choice():
    """Where three sentences of sensible length stand, none of two words is taken."""
    text = "Enjoy it! The pool runs jobs on one loop. A lease tells who may write. Parked work holds no slot."
    assert "Enjoy it!" not in [each.text for each in digest(text).sentences]


def test_repetition_is_explained():
    """Sentences that repeat one another are not chosen twice, and the note says so."""
    found = digest("\n\n".join(["The worker takes one job from the queue."] * 400))
    assert 1 == len(found.sentences)
    assert "repeat" in found.note


def test_unreadable_bytes_are_refused_with_a_reason():
    """Bytes that are no UTF-8 are an error that names the place, and the file in its record."""
    with pytest.raises(UnreadableDocument, match="not UTF-8 at byte 3"):
        summarise("b.txt", b"abc\xff", Kind.TEXT)


def test_content_that_has_no_text_is_a_verdict_and_not_a_failure(tmp_path):
    """A broken PDF completes its job with the reason, said once; a file that changed fails it."""
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing of one")
    (document,) = scan(tmp_path).documents
    verdict = digest_document(str(tmp_path), document)
    assert SkipReason.NO_READABLE_TEXT == verdict.reason
    assert verdict == verdict_of(verdict.model_dump_json())
    assert 1 == str(UnreadableDocument(verdict)).count("the PDF cannot be read")
    assert "broken.pdf" not in verdict.detail
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and then something else")
    with pytest.raises(UnreadableDocument, match="changed after the scan"):
        digest_document(str(tmp_path), document)


def test_a_worker_without_a_reader_for_pdf_fails_and_judges_nothing(tmp_path, monkeypatch):
    """Where the extra is missing the job fails: the content may be sound, and another worker may read it."""
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 and then nothing of one")
    (document,) = scan(tmp_path).documents
    monkeypatch.setattr(portable, "has_pdf_reader", lambda: False)
    with pytest.raises(UnreadableDocument, match="install holdfast"):
        digest_document(str(tmp_path), document)


def test_a_quoted_paragraph_is_never_torn():
    """A sentence over two lines of a quotation is not chosen: its quote mark stands between the words."""
    assert () == digest("> The worker takes one job\n> from the queue of the broker.\n").sentences


def test_markup_is_gone_and_the_source_is_kept():
    """Sentences are shown without tags and inline markup; beside them stands what is in the source."""
    expected = "The worker takes one job from the queue."
    html = digest("<p>The <b>worker</b> takes\none job from the&nbsp;queue.</p>", Kind.HTML)
    assert [expected] == [each.text for each in html.sentences]
    assert (1, 2) == (html.sentences[0].first_line, html.sentences[0].last_line)
    marked = "The **worker** takes `one` job from the queue."
    (sentence,) = digest(marked).sentences
    assert ("The worker takes `one` job from the queue.", marked) == (sentence.text, sentence.source)


@pytest.mark.parametrize("spoil", ["text", "source", "markup", "line", "order", "twin", "none"])
def test_the_check_finds_each_broken_rule(spoil):
    """A digest that was changed by hand does not pass."""
    found = digest(TEXT)
    first, second, *rest = found.sentences
    spoilt = {
        "text": (first.model_copy(update={"text": "No such sentence stands there."}), second, *rest),
        "source": (first.model_copy(update={"source": "No such sentence stands there."}), second, *rest),
        "markup": (first.model_copy(update={"text": first.text.replace("every", "*every*")}), second, *rest),
        "line": (first.model_copy(update={"first_line": 1, "last_line": 1}), second, *rest),
        "order": (second, first, *rest),
        "twin": (first, first, *rest),
        "none": (),
    }[spoil]
    assert check_digest(found.model_copy(update={"sentences": spoilt}), TEXT.encode())


def test_code_in_the_place_of_prose_does_not_pass_the_check():
    """A sentence inside a code block is found out though it stands verbatim at its line."""
    text = "# A\n\n```\nThe worker takes one job from the queue.\n```\n"
    quoted = digest("The worker takes one job from the queue.").sentences[0]
    line_four = quoted.model_copy(update={"first_line": 4, "last_line": 4})
    spoilt = digest(text).model_copy(update={"sentences": (line_four,)})
    assert any("no part of the prose" in problem for problem in check_digest(spoilt, text.encode()))


HOSTILE = [
    "<",
    "<a ",
    "<!-- ",
    "<script>",
    "`` a ` b ",
    "[",
    "![a",
    "> > a\n",
    "- a\n  - b\n",
    "a\n",
    "|",
    "*",
    ". ",
]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind != Kind.PDF])
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_documents_end_in_time(piece, kind):
    """What makes naive readers slow is read in time that grows with its size."""
    begun = time.process_time()
    summarise("x", (piece * (150_000 // len(piece))).encode(), kind)
    assert time.process_time() - begun < 10
