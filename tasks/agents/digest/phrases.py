"""Key phrases: runs of one to three telling words that a document keeps coming back to."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import log

from holdfast.tasks.agents.digest.words import STOP_WORDS, stem

MAX_PHRASES = 8
MAX_COUNTED_SENTENCES = 3_000
"""In longer documents every n-th sentence is counted, so that at most this many are."""

_LONGEST = 3
_NOT_PROSE = re.compile(
    r"`[^`]*`|\w+://\S+|\]\([^)]*\)|\]\[[^\]]*\]|:[\w:]+:|\S*[_/\\=<>{}@]\S*|\w+\(\)|\b\w+\.\w[\w.]*"
)
_ELISION = re.compile(r"\b(?:[cdjlmnst]|qu)['\u2019](?=[^\W\d_]{2})", re.IGNORECASE)
"""What French leaves of an article before a vowel."""
_TOKEN = re.compile(r"[^\W\d_](?:[\w'\u2019-]*\w)?|[^\s\w'\u2019-]|\d[\w.]*")

Stems = tuple[str, ...]


def key_phrases(sentences: Sequence[str], stop_words: frozenset[str] = STOP_WORDS) -> tuple[str, ...]:
    """Return up to `MAX_PHRASES` phrases as they are mostly written, the most telling first."""
    step = -(-len(sentences) // MAX_COUNTED_SENTENCES) or 1
    counts: Counter[Stems] = Counter()
    forms: defaultdict[Stems, Counter[str]] = defaultdict(Counter)
    spread: Counter[str] = Counter()
    counted = sentences[::step]
    for sentence in counted:
        seen: set[str] = set()
        for stems, form in _phrases_in(sentence, stop_words):
            counts[stems] += 1
            forms[stems][form] += 1
            seen.update(stems)
        spread.update(seen)
    scores = _scores(counts, spread, len(counted))
    ranked = sorted(scores, key=lambda stems: (-scores[stems], stems))
    return tuple(_form(forms[stems]) for stems in _distinct(ranked))


def _phrases_in(sentence: str, stop_words: frozenset[str]) -> Iterator[tuple[Stems, str]]:
    tokens = _TOKEN.findall(_ELISION.sub(" . ", _NOT_PROSE.sub(" . ", sentence)))
    for run in _runs(tokens, stop_words):
        stems = [stem(word.lower()) for word in run]
        for start in range(len(run)):
            for end in range(start + 1, min(start + _LONGEST, len(run)) + 1):
                yield tuple(stems[start:end]), " ".join(run[start:end])


def _runs(tokens: Iterable[str], stop_words: frozenset[str]) -> Iterator[list[str]]:
    """Cut a sentence at punctuation, numbers and stop words."""
    run: list[str] = []
    for token in tokens:
        if len(token) > 2 and token[0].isalpha() and token.lower().replace("\u2019", "'") not in stop_words:  # noqa: PLR2004 - `of`, `x`
            run.append(token)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _scores(counts: Counter[Stems], spread: Counter[str], sentences: int) -> dict[Stems, float]:
    """TF-IDF over the sentences; a phrase of several words counts by its words, and must come twice."""
    rare = {word: log(1 + sentences / number) for word, number in spread.items()}
    floor = 2 if sentences > 4 else 1  # noqa: PLR2004 - in a few sentences nothing is repeated
    scores: dict[Stems, float] = {}
    for stems, count in counts.items():
        least = floor + (len(stems) == 1 and sentences > 12)  # noqa: PLR2004 - a single word says less
        if count >= least and len(set(stems)) == len(stems):
            weight = sum(rare[word] for word in stems) / len(stems)
            scores[stems] = count * weight * (1 + 0.9 * (len(stems) - 1))
    return scores


def _distinct(ranked: Iterable[Stems]) -> list[Stems]:
    """Leave out what says part of a phrase that was taken, or little more than it."""
    taken: list[Stems] = []
    for stems in ranked:
        if len(taken) == MAX_PHRASES:
            break
        kin = [other for other in taken if not set(stems).isdisjoint(other)]
        if (
            all(not set(stems) <= set(other) and not set(other) <= set(stems) for other in kin)
            and len(kin) <= 1
        ):
            taken.append(stems)
    return taken


def _form(forms: Counter[str]) -> str:
    return min(forms, key=lambda form: (-forms[form], form))
