"""The rules of a digest, checked against the document itself: what a reader may rely on."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import combinations

from holdfast.tasks.agents.digest.blocks import READABLE, Block, Reading
from holdfast.tasks.agents.digest.candidates import candidates_of, ends_as_sentence
from holdfast.tasks.agents.digest.document import DocumentDigest, KeySentence, Kind
from holdfast.tasks.agents.digest.inline import without_markup
from holdfast.tasks.agents.digest.lines import fold, stands_at
from holdfast.tasks.agents.digest.rank import MAX_SHARED_SHARE
from holdfast.tasks.agents.digest.reader import read
from holdfast.tasks.agents.digest.summarise import MAX_SENTENCES, MIN_SENTENCES, stands_in
from holdfast.tasks.agents.digest.words import shared_share, words_of


def check_digest(digest: DocumentDigest, data: bytes) -> list[str]:
    """Return every rule that the digest breaks, in plain words; an empty list when it keeps them all.

    The rules: the digest is of these bytes; the source of each key sentence
    stands verbatim at its lines, in prose and not in code, a table or a
    heading; its text is that source without inline markup, nothing else
    changed, and ends as a sentence; two of them share less than 0.6 of the
    words of the shorter one; they are three to five in the order of the
    document, or fewer with a note where the document has no more.
    """
    if hashlib.sha256(data).hexdigest() != digest.sha256:
        return ["the digest is of other content than this"]
    reading = read(data, digest.kind)
    problems: list[str] = []
    for sentence in digest.sentences:
        problems.extend(
            f"lines {_place(sentence)}: {problem}" for problem in _of_sentence(sentence, digest.kind, reading)
        )
    problems.extend(_of_pairs(digest.sentences))
    problems.extend(_of_number(digest, reading))
    return problems


def _of_sentence(sentence: KeySentence, kind: Kind, reading: Reading) -> Iterator[str]:
    if not 1 <= sentence.first_line <= sentence.last_line <= len(reading.lines):
        yield "no such lines in the document"
        return
    if not stands_at(sentence.source, sentence.first_line, sentence.last_line, reading.lines):
        yield f"does not stand there verbatim: {sentence.source!r}"
    if sentence.text != without_markup(sentence.source, kind):
        yield f"is not what stands there without its markup: {sentence.text!r}"
    if not ends_as_sentence(sentence.text):
        yield f"does not end as a sentence: {sentence.text!r}"
    if sentence.source != fold(sentence.source):
        yield "is not folded"
    if not any(_holds(block, sentence) for block in reading.blocks if block.kind in READABLE):
        yield f"is no part of the prose: {sentence.text!r}"


def _holds(block: Block, sentence: KeySentence) -> bool:
    numbers = [line.number for line in block.lines]
    if not numbers or not numbers[0] <= sentence.first_line <= sentence.last_line <= numbers[-1]:
        return False
    return sentence.source in block.text()


def _of_pairs(sentences: Sequence[KeySentence]) -> Iterator[str]:
    words = [frozenset(words_of(sentence.text)) for sentence in sentences]
    for (one, other), (left, right) in zip(combinations(sentences, 2), combinations(words, 2), strict=True):
        share = shared_share(left, right)
        if share >= MAX_SHARED_SHARE:
            yield f"lines {_place(one)} and {_place(other)} share {share:.2f} of their words"
        if one.first_line > other.first_line:
            yield f"lines {_place(one)} and {_place(other)} are out of order"


def _of_number(digest: DocumentDigest, reading: Reading) -> Iterator[str]:
    number = len(digest.sentences)
    if number > MAX_SENTENCES:
        yield f"{number} key sentences are more than {MAX_SENTENCES}"
    if number >= MIN_SENTENCES:
        return
    if not digest.note:
        yield f"{number} key sentences, and no note says why"
    chosen = [frozenset(words_of(sentence.text)) for sentence in digest.sentences]
    for candidate in filter(stands_in(reading), candidates_of(reading.blocks, digest.kind)):
        if all(shared_share(candidate.words, words) < MAX_SHARED_SHARE for words in chosen):
            yield f"{number} key sentences, though this one qualifies: {candidate.sentence.text!r}"


def _place(sentence: KeySentence) -> str:
    return f"{sentence.first_line}-{sentence.last_line}"
