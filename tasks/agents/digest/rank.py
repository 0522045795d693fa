"""Ranking sentences: which of them say what the others say too (after LexRank).

Sentences are linked by the TF-IDF cosine of their words; a walk over these
links rests longest on central ones. Early sentences and those that share words
with the title gain, and the choice avoids saying one thing twice.

Bounded: of more than `MAX_RANKED` candidates the first `LEAD_KEPT` stay, the
rest is cut into slices of equal length, and of each slice the sentence with
the most telling words stays. Deterministic: ties go to the earlier sentence.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import exp, log, sqrt

from holdfast.tasks.agents.digest.candidates import Candidate
from holdfast.tasks.agents.digest.words import shared_share, terms_of

MAX_RANKED = 240
LEAD_KEPT = 80
MAX_SHARED_SHARE = 0.6
"""Two chosen sentences share less than this much of the words of the shorter one."""

_DAMPING = 0.85
_MIN_LINK = 0.08
_ROUNDS = 20
_SETTLED = 1e-3
_DIVERSITY = 0.7


def select(
    candidates: Sequence[Candidate], wanted: int, title: str, accept: Callable[[Candidate], bool]
) -> list[tuple[Candidate, float]]:
    """Return up to `wanted` accepted candidates with their scores, best first."""
    if wanted < 1 or not candidates:
        return []
    kept = thin(candidates)
    links = _links(_vectors(kept))
    scores = _scores(kept, _walk(links), frozenset(terms_of(title)))
    return [(kept[index], scores[index]) for index in _choose(kept, links, scores, wanted, accept)]


def thin(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Apply the bound that the module describes; the order stays."""
    if len(candidates) <= MAX_RANKED:
        return list(candidates)
    rest = candidates[LEAD_KEPT:]
    counts = Counter(term for candidate in rest for term in set(candidate.terms))
    slices = MAX_RANKED - LEAD_KEPT
    edges = [index * len(rest) // slices for index in range(slices + 1)]
    best = [max(rest[low:high], key=lambda each: _telling(each, counts)) for low, high in pairwise(edges)]
    return [*candidates[:LEAD_KEPT], *best]


def _telling(candidate: Candidate, counts: Counter[str]) -> float:
    terms = set(candidate.terms)
    return candidate.weight * sum(log(1 + counts[term]) for term in terms) / sqrt(len(terms) + 1)


def _vectors(candidates: Sequence[Candidate]) -> list[dict[str, float]]:
    spread = Counter(term for candidate in candidates for term in set(candidate.terms))
    vectors: list[dict[str, float]] = []
    for candidate in candidates:
        counts = Counter(candidate.terms)
        vector = {term: count * log(1 + len(candidates) / spread[term]) for term, count in counts.items()}
        length = sqrt(sum(value * value for value in vector.values())) or 1.0
        vectors.append({term: value / length for term, value in vector.items()})
    return vectors


def _links(vectors: Sequence[dict[str, float]]) -> list[dict[int, float]]:
    """Return for each sentence the cosine to the others, weak ones left out."""
    places: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    links: list[dict[int, float]] = [{} for _ in vectors]
    for index, vector in enumerate(vectors):
        cosines: defaultdict[int, float] = defaultdict(float)
        for term, value in vector.items():
            for other, weight in places[term]:
                cosines[other] += value * weight
            places[term].append((index, value))
        for other, cosine in cosines.items():
            if cosine >= _MIN_LINK:
                links[index][other] = links[other][index] = cosine
    return links


def _walk(links: Sequence[dict[int, float]]) -> list[float]:
    """Power iteration; returns the centrality of each sentence, 1 being the mean."""
    edges = [tuple(each.items()) for each in links]
    outgoing = [sum(each.values()) for each in links]
    ranks = [1.0] * len(links)
    for _ in range(_ROUNDS):
        flow = [_DAMPING * rank / out if out else 0.0 for rank, out in zip(ranks, outgoing, strict=True)]
        following = [1 - _DAMPING + sum([flow[other] * cosine for other, cosine in each]) for each in edges]
        change = sum(abs(new - old) for new, old in zip(following, ranks, strict=True))
        ranks = following
        if change < _SETTLED * len(links):
            break
    return ranks


def _scores(candidates: Sequence[Candidate], ranks: Sequence[float], title: frozenset[str]) -> list[float]:
    scores: list[float] = []
    for place, (candidate, rank) in enumerate(zip(candidates, ranks, strict=True)):
        lead = 1 + 1.5 * exp(-place / 3)
        named = 1 + 0.4 * len(title.intersection(candidate.terms)) / (len(title) or 1)
        opening = 1.15 if candidate.sentence.opens_block else 1.0
        scores.append(round(sqrt(rank) * candidate.weight * lead * named * opening, 4))
    return scores


def _choose(
    candidates: Sequence[Candidate],
    links: Sequence[dict[int, float]],
    scores: Sequence[float],
    wanted: int,
    accept: Callable[[Candidate], bool],
) -> list[int]:
    """Take the best, then each time the best of those that say something else (after MMR)."""
    chosen: list[int] = []
    closeness = [0.0] * len(candidates)
    left = set(range(len(candidates)))
    while left and len(chosen) < wanted:
        best = max(sorted(left), key=lambda index: scores[index] * (1 - _DIVERSITY * closeness[index]))
        left.remove(best)
        if not accept(candidates[best]):
            continue
        chosen.append(best)
        words = candidates[best].words
        left = {index for index in left if shared_share(words, candidates[index].words) < MAX_SHARED_SHARE}
        for other, cosine in links[best].items():
            closeness[other] = max(closeness[other], cosine)
    return chosen
