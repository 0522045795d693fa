"""Words, stems and stop words: the measure of what sentences share."""

import re

_WORD = re.compile(r"[^\W\d_](?:[\w'-]*\w)?")
_ADDRESS = re.compile(r"\b(?:https?|ftp|git)://\S+|\bwww\.\S+|\S+@\S+\.\w+")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text that lists them."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    """
    a about above across actually add added adds after again against all allow allowing allows
    almost along already also although always am among an and another any anyone anything are
    aren't around as at available away back based basic be because been before behind being below
    besides best better between both but by call called calls can can't cannot case cases certain
    change come common contain contains could couldn't current currently default defined depending
    describe described despite did didn't different directly do does doesn't doing don't done down
    due during each easily easy either else end enough especially etc even ever every everything
    example examples except far few find first fix fixed fixes follow following follows for found
    from full fully further furthermore general generally get gets getting give given gives go
    goes going good got great had hadn't has hasn't have haven't having he help hence her here
    here's hers herself him himself his how however i i'd i'll i'm i've if implement implemented
    in include included includes including indeed information inside instance instead into is
    isn't it it's its itself just keep kind know known large last later least less let let's like
    likely list little long look lot made main mainly make makes making many may maybe me mean
    meaning means might more moreover most mostly much must my myself name near necessary need
    needed needs never new next no non none nor not note nothing now number of off often old on
    once one ones only onto or order other others otherwise our ours ourselves out over own part
    particular particularly pass passed passes per perhaps please point possible probably provide
    provided provides providing put quite rather read really related require required requires
    rest result results right run same say second section see seem seems set sets several shall
    she should shouldn't show shown shows similar simple simply since single small so some someone
    something sometimes soon still such support supported supports sure take takes tell than that
    that's the their theirs them themselves then there therefore these they thing things think
    this those though three through thus time times to together too toward try two type typically
    under unless until up upon us use used useful user users uses using usually value values
    various very via want wants was wasn't way ways we well were weren't what whatever when
    whenever where whereas whether which while who whole whom whose why will with within without
    won't work works would wouldn't yes yet you you'd you'll you're you've your yours yourself
    """
)
"""Words that say nothing about the subject of a text on software."""


def words_of(text: str) -> list[str]:
    """Return the words in lower case, without addresses; numbers are no words."""
    if "://" in text or "@" in text or "www." in text:
        text = _ADDRESS.sub(" ", text)
    return _WORD.findall(text.replace("\u2019", "'").lower())


def stem(word: str) -> str:
    """Fold plural and possessive forms together: cheap, and wrong where it hardly matters."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - `ties` stays whole
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):  # noqa: PLR2004 - as above
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):  # noqa: PLR2004 - `gas`, `bus`
        return word[:-1]
    return word


def terms_of(text: str, stop_words: frozenset[str] = STOP_WORDS) -> list[str]:
    """Return the stems that carry meaning: no stop words, no single letters."""
    return [stem(word) for word in words_of(text) if len(word) > 1 and word not in stop_words]


def shared_share(one: frozenset[str], other: frozenset[str]) -> float:
    """How much of the poorer of two sets of words stands in the other, from 0 to 1."""
    smaller = min(len(one), len(other))
    return len(one & other) / smaller if smaller else 1.0
