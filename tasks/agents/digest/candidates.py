"""Which sentences may become key sentences, and how much a reader would want them.

Some rules are hard (a key sentence ends as one, its brackets close). The
others sort: what is sound but meagre (short, a quotation, a question), still
more what tells nothing (a pointer, a licence, a change entry), and last what is
of no sensible length, is taken only where nothing better stands in the document.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from holdfast.tasks.agents.digest import patterns
from holdfast.tasks.agents.digest.blocks import Block, BlockKind
from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.inline import without_markup
from holdfast.tasks.agents.digest.sections import by_worth
from holdfast.tasks.agents.digest.sentences import Sentence, sentences_of
from holdfast.tasks.agents.digest.shapes import has_image
from holdfast.tasks.agents.digest.words import STOP_WORDS, terms_of, words_of

MIN_WORDS, MAX_WORDS = 4, 60
GOOD_MIN_WORDS, GOOD_MAX_WORDS = 7, 42
GOOD_MAX_CHARACTERS = 500
LEAST_WORDS, MAX_CHARACTERS = 2, 1_000
"""Hard limits; between them and the others a sentence is the last choice."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that keeps the hard rules.

    `text` is the sentence without inline markup (see `inline`), `lack` how
    little it tells (0 to 3), `weight` how well it reads.
    """

    sentence: Sentence
    text: str
    lack: int
    weight: float
    words: frozenset[str]
    terms: tuple[str, ...]


def ends_as_sentence(text: str) -> bool:
    """Whether the end is `.`, `!` or `?`, perhaps within quotes, brackets or markup."""
    found = patterns.TAIL.search(text)
    return found is not None and patterns.ENDING.fullmatch(found[0]) is not None


def candidates_of(
    blocks: Sequence[Block], kind: Kind, stop_words: frozenset[str] = STOP_WORDS
) -> Iterator[Candidate]:
    """Yield the sentences of a document that may be chosen, in its order."""
    for block, is_poor in by_worth(blocks):
        previous: Sentence | None = None
        for sentence in sentences_of(block):
            if is_sound(sentence, previous):
                text = without_markup(sentence.text, kind)
                if text == sentence.text or is_sound(replace(sentence, text=text)):
                    words, terms = words_of(text), tuple(terms_of(text, stop_words))
                    lack = max(2 if is_poor else 0, lack_of(sentence.text, words, terms, block.kind))
                    weight = _weight(sentence, text, words, block.kind)
                    yield Candidate(sentence, text, lack, weight, frozenset(words), terms)
            previous = sentence


def is_sound(sentence: Sentence, previous: Sentence | None = None) -> bool:
    """Whether the sentence keeps the hard rules: begins and ends as one, is whole, of bounded length."""
    text = sentence.text
    begins = bool(patterns.STARTS.match(text)) or (
        sentence.opens_block and (text[0].isalpha() or text[0] in "*_")
    )
    return (
        len(text) <= MAX_CHARACTERS
        and len(words_of(text)) >= LEAST_WORDS
        and ends_as_sentence(text)
        and begins
        and (previous is None or ends_as_sentence(previous.text))
        and _is_balanced(text)
        and not patterns.UNSOUND.search(text)
        and not has_image(text)
        and not patterns.OPEN_END.search(text)
    )


def lack_of(text: str, words: Sequence[str], terms: Sequence[str], kind: BlockKind) -> int:
    """Return how little this sound sentence tells: 0 good, 1 meagre, 2 nothing, 3 of no sensible length."""
    if not MIN_WORDS <= len(words) <= MAX_WORDS or len(text) > GOOD_MAX_CHARACTERS:
        return 3
    start = text.lstrip(patterns.OPENERS)
    if any(pattern.match(start) for pattern in (patterns.POINTER, patterns.CHANGE)):
        return 2
    if _is_worth_a_search(text, words) and any(pattern.search(text) for pattern in patterns.TELLING_NOTHING):
        return 2
    plain = patterns.LINK_TARGET.sub("", text) if "]" in text or ">" in text else text
    letters = sum(map(str.isalpha, plain))
    meagre = (
        not GOOD_MIN_WORDS <= len(words) <= GOOD_MAX_WORDS
        or len(set(terms)) < 3  # noqa: PLR2004 - less than three words with meaning says nothing
        or kind is BlockKind.QUOTE
        or letters < 0.65 * len(plain)
        or len(plain) < 0.4 * len(text)
        or sum(map(str.isupper, plain)) > 0.3 * letters
        or text.endswith("?")
        or text.startswith("(")
        or text.count(",") + text.count(";") > 0.3 * len(words)
        or text.replace("**", "").count("*") % 2 == 1
        or patterns.TORN.search(text) is not None
        or (kind is BlockKind.LIST_ITEM and patterns.LABEL.match(text) is not None)
    )
    return int(meagre)


def _is_worth_a_search(text: str, words: Sequence[str]) -> bool:
    """Whether one of the slow patterns could match: each needs one of these words or signs."""
    return not patterns.TRIGGERS.isdisjoint(words) or not patterns.TRIGGER_SIGNS.isdisjoint(text)


def _weight(sentence: Sentence, plain: str, words: Sequence[str], kind: BlockKind) -> float:
    text = sentence.text
    start = text.lstrip(patterns.OPENERS)
    weight = min(1.0, len(words) / 11) * (1.0 if len(words) <= 30 else 30 / len(words))  # noqa: PLR2004 - best length
    weight *= 1.0 if kind is BlockKind.PROSE else 0.5
    weight *= 0.5 if patterns.ANAPHORA.match(start) else 1.3 if patterns.DEFINES.match(text) else 1.0
    weight *= 0.8 if patterns.REPORTS.match(start) else 1.0
    weight *= 0.75 if patterns.TALK.search(text) else 1.0
    weight *= 0.9 if patterns.LINK_TARGET.search(text) else 1.0
    weight *= 0.95 if plain != text else 1.0
    weight *= 0.7 if "://" in plain else 1.0
    return weight * (0.6 if text.endswith("!") else 1.0)


def _is_balanced(text: str) -> bool:
    """Whether brackets, backticks, double quotes and strong marks all close."""
    depth = {"(": 0, "[": 0, "{": 0}
    for sign in text:
        if sign in depth:
            depth[sign] += 1
        elif sign in ")]}":
            opening = "([{"[")]}".index(sign)]
            depth[opening] -= 1
            if depth[opening] < 0:
                return False
    pairs = all(text.count(mark) % 2 == 0 for mark in ("`", '"', "**"))
    quotes = text.count("\u201c")
    return pairs and not any(depth.values()) and quotes in (text.count("\u201d"), text.count("\u201e"))
