"""How often a waiting caller asks."""

import itertools

from holdfast.tasks.waiting import pauses


def test_pauses_begin_short_and_stay_bounded():
    """Thirteen questions in three to four seconds, never more than half a second apart."""
    seconds = list(itertools.islice(pauses(), 50))

    assert 0.015 <= seconds[0] <= 0.02
    assert all(0 < pause <= 0.5 for pause in seconds)
    # Without chance the first thirteen add up to 3.86 s; chance takes at most a quarter away.
    assert 3.86 * 0.75 <= sum(seconds[:13]) <= 3.87


def test_pauses_never_exceed_the_callers_interval():
    """Whoever asks for 10 ms gets it."""
    assert all(pause <= 0.01 for pause in itertools.islice(pauses(longest_seconds=0.01), 10))
