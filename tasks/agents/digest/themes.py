"""Themes: terms that several documents have among their key phrases."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import log

from holdfast.tasks.agents.digest.document import DocumentDigest, Theme
from holdfast.tasks.agents.digest.words import STOP_WORDS, stem, terms_of, word_set

MAX_THEMES = 10
_MAX_TERMS = 4
_SAME_SHARE = 0.34
"""A term joins a theme when it and the theme's first term share this much of their documents."""
_WIDEST_SHARE = 0.4
_TRIED = 4
_SMALL_SET, _LARGE_SET = 6, 40
_TOO_GENERAL = word_set(
    """
    access add api app application argument author behavior behaviour block build change character
    checking class code command common config configuration containing content copyright core
    create created creating custom data default dependency description detail directory document
    documentation element environment error extension false feature field file folder format
    function guide handle implementation information input install installed interface issue item
    language level library license line list method mode model module name note number object
    operation option output package page parameter part path pattern program project property
    python read reference release request response result return returned run running script
    section setting size software source specific specification standard state string structure
    style support system target test text tool true type usage user utility value variable version
    work write
    """
)

Term = tuple[str, ...]
Holders = Mapping[Term, frozenset[str]]


def themes_of(digests: Sequence[DocumentDigest]) -> tuple[Theme, ...]:
    """Return the themes of a set of documents, those of many documents first.

    A theme begins with one shared term and gathers the terms of nearly the
    same documents. The same digests give the same themes, in any order.
    """
    holders, forms = _shared_terms(sorted(digests, key=lambda each: each.path))
    covered: Counter[str] = Counter()
    themes: list[Theme] = []
    left = holders
    while left and len(themes) < MAX_THEMES:
        ranked = sorted(left, key=lambda term: (-_worth(term, left[term], len(digests), covered), term))
        seed, members = _best(ranked[:_TRIED], left)
        themes.append(_theme([forms[term] for term in members], left[seed]))
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
        if likeness >= _SAME_SHARE and set(term).isdisjoint(seed):
            near.append((-likeness, term))
    members = [seed]
    for _, term in sorted(near):
        if len(members) < _MAX_TERMS and all(set(term).isdisjoint(member) for member in members):
            members.append(term)
    return members


def _theme(terms: Sequence[str], paths: frozenset[str]) -> Theme:
    first = terms[0][:1].upper() + terms[0][1:]
    return Theme(title=", ".join([first, *terms[1:]]), terms=tuple(terms), documents=tuple(sorted(paths)))
