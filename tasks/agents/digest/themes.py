"""Themes: terms that several documents have among their key phrases."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import log

from holdfast.tasks.agents.digest.document import DocumentDigest, Theme
from holdfast.tasks.agents.digest.words import STOP_WORDS, stem, terms_of, word_set, words_of

MAX_THEMES = 10
_MAX_TERMS = 4
_SAME_SHARE = 0.34
"""A term joins a theme when it and the theme's first term share this much of their documents."""
_WIDEST_SHARE = 0.4
_TRIED = 4
_SHORT = 3
"""Words of so few letters join no other, nor do two that begin with the same ones."""
_SMALL_SET, _LARGE_SET = 6, 40
_TOO_GENERAL = word_set(
    """
    access add alternative api app application approach argument attribute author automatically
    backport badge behavior behaviour bit block build change changelog character checker checking
    class code collective command common community company compatible config configuration
    containing content context contributor copyright core create created creating custom data day
    default dependency description detail detect developer directory doc document documentation
    donate element environment error extension false fast feature field file folder fork format free
    full function general github goal guide handle idea implementation import information input
    install installed interface issue item kind language level library license line list local main
    maintainer method mode model modern module multiple name native need note number object open
    operation option order output package page parameter part path pattern people piece pip place
    platform port powerful program programmer project property pure purpose pypi python raise raised
    read readme real reason reference release request response result return returned rule run
    running runtime script section setting side simple size software source special specific
    specification sponsor stable standard start state step string structure style support syntax
    system target team term test text thing time today tool top true type usage user utility value
    variable version wheel word work write written year
    """
)

Term = tuple[str, ...]
Holders = Mapping[Term, frozenset[str]]


def themes_of(digests: Sequence[DocumentDigest]) -> tuple[Theme, ...]:
    """Return the themes of a set of documents, those of many documents first.

    A theme begins with one shared term and gathers the terms of nearly the
    same documents. A single word is joined with the word that most of its
    documents mention beside it; without such a word it is a theme only where it
    stands in titles (a product, a protocol) or few documents are to be told
    apart, else it says too little. The same
    digests give the same themes, in any order.
    """
    digests = sorted(digests, key=lambda each: each.path)
    holders, forms = _shared_terms(digests)
    mentions = _Mentions(digests)
    covered: Counter[str] = Counter()
    themes: list[Theme] = []
    left = holders
    while left and len(themes) < MAX_THEMES:
        ranked = sorted(left, key=lambda term: (-_worth(term, left[term], len(digests), covered), term))
        seed, members = _best(ranked[:_TRIED], left)
        terms = _named(members, forms, left[seed], mentions)
        if not terms:
            left = {term: paths for term, paths in left.items() if term != seed}
            continue
        themes.append(_theme(terms, left[seed]))
        covered.update(left[seed])
        used = {word for term in members for word in term}
        left = {
            term: paths
            for term, paths in left.items()
            if used.isdisjoint(term) and sum(1 for path in paths if not covered[path]) * 2 > len(paths)
        }
    return tuple(sorted(themes, key=lambda theme: (-len(theme.documents), theme.title)))


def _shared_terms(digests: Sequence[DocumentDigest]) -> tuple[Holders, dict[Term, str]]:
    """Return the documents of each term that enough of them, and not too many, have; and its spelling.

    A term comes from key phrases; a document that uses it in its title or its
    key sentences has it too.
    """
    holders: defaultdict[Term, set[str]] = defaultdict(set)
    spellings: defaultdict[Term, Counter[str]] = defaultdict(Counter)
    mentions: defaultdict[str, set[str]] = defaultdict(set)
    for digest in digests:
        for term, form in _terms_in(digest.phrases):
            holders[term].add(digest.path)
            spellings[term][form] += 1
        for word in terms_of(" ".join((digest.title, *(sentence.text for sentence in digest.sentences)))):
            mentions[word].add(digest.path)
    least = 2 if len(digests) < _LARGE_SET else 3
    widest = len(digests) if len(digests) < _SMALL_SET else int(len(digests) * _WIDEST_SHARE)
    kept: dict[Term, frozenset[str]] = {}
    for term, paths in holders.items():
        everywhere = paths | mentions[term[0]] if len(term) == 1 else paths
        if len(paths) > 1 and least <= len(everywhere) <= widest:
            kept[term] = frozenset(everywhere)
    return kept, {
        term: min(spellings[term], key=lambda form: (-spellings[term][form], form)) for term in kept
    }


def _terms_in(phrases: Iterable[str]) -> set[tuple[Term, str]]:
    found: set[tuple[Term, str]] = set()
    for phrase in phrases:
        words = phrase.split()
        runs = [words] if len(words) == 1 else [words, *([word] for word in words)]
        for run in runs:
            term = tuple(stem(word.lower()) for word in run)
            if not all(part in _TOO_GENERAL or part in STOP_WORDS for part in term):
                found.add((term, " ".join(run)))
    return found


def _best(ranked: Sequence[Term], left: Holders) -> tuple[Term, list[Term]]:
    """Of the likeliest seeds, take the first that has the most company."""
    kin = {seed: _kin(seed, left) for seed in ranked}
    best = max(ranked, key=lambda seed: (len(kin[seed]), -ranked.index(seed)))
    return best, kin[best]


def _worth(term: Term, paths: frozenset[str], documents: int, covered: Counter[str]) -> float:
    """Many documents that no theme has yet, a telling term, more than one word."""
    fresh = sum(1 for path in paths if not covered[path])
    return fresh * log(1 + documents / len(paths)) * (1 + 0.5 * (len(term) - 1))


def _kin(seed: Term, left: Holders) -> list[Term]:
    """Return the seed and the terms whose documents are nearly its own, the nearest first."""
    near: list[tuple[float, Term]] = []
    for term, paths in left.items():
        likeness = len(paths & left[seed]) / len(paths | left[seed])
        if likeness >= _SAME_SHARE and set(term).isdisjoint(seed) and not _is_kin_in_spelling(term, seed):
            near.append((-likeness, term))
    members = [seed]
    for _, term in sorted(near):
        if len(members) < _MAX_TERMS and all(set(term).isdisjoint(member) for member in members):
            members.append(term)
    return members


def _is_kin_in_spelling(term: Term, seed: Term) -> bool:
    """Whether two words begin alike (`redis` and `redis-py`), so that one says what the other says."""
    return len(term) == len(seed) == 1 and (term[0].startswith(seed[0]) or seed[0].startswith(term[0]))


class _Mentions:
    """The words in titles, key sentences and phrases, each with the documents that mention it."""

    def __init__(self, digests: Sequence[DocumentDigest]) -> None:
        self.documents = len(digests)
        self.in_titles: Counter[str] = Counter()
        self.spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.pairs: dict[tuple[str, str], str] = {}
        self.paths: defaultdict[str, set[str]] = defaultdict(set)
        for digest in digests:
            self.in_titles.update(set(terms_of(digest.title)))
            for text in (digest.title, *digest.phrases, *(each.text for each in digest.sentences)):
                self._read(digest.path, text)
            for phrase in digest.phrases:
                words = phrase.split()
                for pair in pairwise(words):
                    self.pairs.setdefault((stem(pair[0].lower()), stem(pair[1].lower())), " ".join(pair))

    def _read(self, path: str, text: str) -> None:
        for word in words_of(text):
            if len(word) > _SHORT and word not in STOP_WORDS and stem(word) not in _TOO_GENERAL:
                self.paths[stem(word)].add(path)
                self.spellings[stem(word)][word] += 1

    def companion(self, word: str, paths: frozenset[str]) -> str:
        """Return the word that most of these documents mention too, and few others do; or nothing."""
        least = max(2, len(paths) / 2)
        scores: dict[str, float] = {}
        for other, there in self.paths.items():
            together = len(there & paths)
            if (
                other[:_SHORT] != word[:_SHORT]
                and together >= least
                and len(there) <= _WIDEST_SHARE * max(self.documents, _LARGE_SET)
            ):
                scores[other] = together * log(1 + self.documents / len(there))
        if not scores:
            return ""
        best = min(scores, key=lambda other: (-scores[other], other))
        spelled = self.spellings[best]
        return min(spelled, key=lambda form: (-spelled[form], form))


def _named(
    members: Sequence[Term], forms: Mapping[Term, str], paths: frozenset[str], mentions: _Mentions
) -> list[str]:
    """Return the terms that name a theme, neighbours joined to a phrase; none when they say too little."""
    first, *rest = members
    if len(first) == 1 and not rest:
        other = mentions.companion(first[0], paths)
        if not other:
            says_enough = mentions.in_titles[first[0]] > 1 or mentions.documents < _SMALL_SET
            return [forms[first]] if says_enough else []
        return _joined(first[0], forms[first], stem(other), other, mentions)
    if len(first) == 1 and len(rest[0]) == 1:
        joined = _joined(first[0], forms[first], rest[0][0], forms[rest[0]], mentions)
        return [*joined, *(forms[term] for term in rest[1:])]
    return [forms[term] for term in members]


def _joined(one: str, one_form: str, other: str, other_form: str, mentions: _Mentions) -> list[str]:
    pair = mentions.pairs.get((one, other)) or mentions.pairs.get((other, one))
    return [pair] if pair else [one_form, other_form]


def _theme(terms: Sequence[str], paths: frozenset[str]) -> Theme:
    first = terms[0][:1].upper() + terms[0][1:]
    return Theme(title=", ".join([first, *terms[1:]]), terms=tuple(terms), documents=tuple(sorted(paths)))
