"""One document in, one digest out: the offline rung, `extractive`, in the standard library only."""

import hashlib
import time
from collections.abc import Callable, Sequence

from holdfast.tasks.agents.digest.blocks import Block, Reading
from holdfast.tasks.agents.digest.candidates import Candidate, candidates_of
from holdfast.tasks.agents.digest.document import (
    DocumentDigest,
    KeySentence,
    Kind,
    Skipped,
    SkipReason,
    UnreadableDocument,
)
from holdfast.tasks.agents.digest.languages import stop_words_for
from holdfast.tasks.agents.digest.lines import stands_at
from holdfast.tasks.agents.digest.phrases import key_phrases
from holdfast.tasks.agents.digest.portable import NoPdfReader
from holdfast.tasks.agents.digest.rank import MAX_RANKED, MAX_SHARED_SHARE, select
from holdfast.tasks.agents.digest.reader import read
from holdfast.tasks.agents.digest.sections import by_worth
from holdfast.tasks.agents.digest.sentences import sentences_of
from holdfast.tasks.agents.digest.words import shared_share

MIN_SENTENCES, MAX_SENTENCES = 3, 5
_FOUR_FROM, _FIVE_FROM = 10, 30
"""So many good sentences to choose from make a fourth and a fifth key sentence worth reading."""


def summarise(path: str, data: bytes, kind: Kind) -> DocumentDigest:
    """Return the digest of a document: its own key sentences and phrases.

    The same bytes and kind give the same digest on every machine, apart from
    `seconds`. UnreadableDocument when the bytes cannot be read as this kind.
    """
    begun = time.monotonic()
    reading = _read(path, data, kind)
    worthy, poor = _texts(reading.blocks)
    stop_words = stop_words_for((*worthy, *poor))
    candidates = list(candidates_of(reading.blocks, kind, stop_words))
    chosen = _choose(candidates, reading.title, stands_in(reading))
    return DocumentDigest(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        kind=kind,
        title=reading.title,
        words=sum(text.count(" ") + 1 for text in (*worthy, *poor)),
        sentences=chosen,
        phrases=key_phrases(worthy if len(worthy) >= MIN_SENTENCES else [*worthy, *poor], stop_words),
        seconds=round(time.monotonic() - begun, 4),
        note=_note(reading.note, len(chosen), len(candidates)),
    )


def stands_in(reading: Reading) -> Callable[[Candidate], bool]:
    """Return the test for what markup has torn (a quote mark between two lines, an icon in a sentence)."""

    def stands(candidate: Candidate) -> bool:
        sentence = candidate.sentence
        return stands_at(sentence.text, sentence.first_line, sentence.last_line, reading.lines)

    return stands


def _read(path: str, data: bytes, kind: Kind) -> Reading:
    try:
        return read(data, kind)
    except UnicodeDecodeError as error:
        detail = f"not UTF-8 at byte {error.start}; convert it, then run again"
        raise UnreadableDocument(Skipped(path=path, reason=SkipReason.NOT_UTF8, detail=detail)) from error
    except NoPdfReader as error:
        skipped = Skipped(path=path, reason=SkipReason.NO_PDF_READER, detail=str(error))
        raise UnreadableDocument(skipped) from error
    except ValueError as error:
        skipped = Skipped(path=path, reason=SkipReason.NO_READABLE_TEXT, detail=str(error))
        raise UnreadableDocument(skipped) from error


def _texts(blocks: Sequence[Block]) -> tuple[list[str], list[str]]:
    """Return all sentences: those about the subject, and those about its making."""
    texts: tuple[list[str], list[str]] = ([], [])
    for block, is_poor in by_worth(blocks):
        texts[is_poor].extend(sentence.text for sentence in sentences_of(block))
    return texts


def _choose(
    candidates: Sequence[Candidate], title: str, accept: Callable[[Candidate], bool]
) -> tuple[KeySentence, ...]:
    """Take the good ones; where they are fewer than three, fill up with the next best."""
    chosen: list[tuple[Candidate, float]] = []
    for lack in range(4):
        fresh = [each for each in candidates if each.lack == lack and _says_more(each, chosen)]
        wanted = _wanted(len(fresh)) if lack == 0 else MIN_SENTENCES
        found = select(fresh, wanted - len(chosen), title, accept)
        chosen += [(each, score / 10**lack) for each, score in found]
        chosen += _spare(fresh, chosen, accept)
    places = {id(each): place for place, each in enumerate(candidates)}
    chosen.sort(key=lambda pair: places[id(pair[0])])
    return tuple(_key_sentence(each, score) for each, score in chosen)


def _spare(
    candidates: Sequence[Candidate],
    chosen: Sequence[tuple[Candidate, float]],
    accept: Callable[[Candidate], bool],
) -> list[tuple[Candidate, float]]:
    """Fill up to three from what ranking left out, in a long document that repeats itself."""
    spare: list[tuple[Candidate, float]] = []
    for each in candidates if len(candidates) > MAX_RANKED else ():
        if len(chosen) + len(spare) >= MIN_SENTENCES:
            break
        if _says_more(each, (*chosen, *spare)) and accept(each):
            spare.append((each, 0.0))
    return spare


def _wanted(good: int) -> int:
    return MIN_SENTENCES + (good >= _FOUR_FROM) + (good >= _FIVE_FROM)


def _says_more(candidate: Candidate, chosen: Sequence[tuple[Candidate, float]]) -> bool:
    return all(shared_share(candidate.words, each.words) < MAX_SHARED_SHARE for each, _ in chosen)


def _key_sentence(candidate: Candidate, score: float) -> KeySentence:
    sentence = candidate.sentence
    return KeySentence(
        text=candidate.text,
        source=sentence.text,
        first_line=sentence.first_line,
        last_line=sentence.last_line,
        score=round(score, 4),
    )


def _note(reading_note: str, chosen: int, candidates: int) -> str:
    if chosen >= MIN_SENTENCES:
        return reading_note
    if chosen == 0:
        return reading_note or "nothing to quote: no whole sentence stands outside code, tables and headings"
    number = "one sentence" if chosen == 1 else "two sentences"
    few = f"only {number} to quote: the others repeat {'it' if chosen == 1 else 'them'}"
    if candidates <= chosen:
        few = f"only {number} to quote: no other stands whole outside code, tables and headings"
    return f"{reading_note}; {few}" if reading_note else few
