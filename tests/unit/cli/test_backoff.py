"""When a dead child is started again."""

import pytest

from holdfast.cli.supervisor.backoff import LONGEST_SECONDS, Deaths


def _deaths(*lives):
    deaths = Deaths()
    for life in lives:
        deaths = deaths.after(life)
    return deaths


@pytest.mark.parametrize(
    ("lives", "pause_seconds"),
    [((1.0,), 0.2), ((1.0, 1.0), 0.4), ((1.0,) * 4, 1.6), ((1.0,) * 7, 10.0), ((1.0,) * 500, 10.0)],
)
def test_the_pause_doubles_and_has_an_end(lives, pause_seconds):
    """The pause begins at 0.2 s, doubles with each death in a row, and never exceeds 10 s."""
    assert pause_seconds == _deaths(*lives).pause_seconds
    assert _deaths(*lives).pause_seconds <= LONGEST_SECONDS


def test_a_long_life_is_a_new_beginning():
    """A child that worked for half a minute is started again as quickly as at first."""
    assert 0.2 == _deaths(1.0, 1.0, 1.0, 30.0).pause_seconds


def test_three_short_lives_are_worth_telling_once():
    """Who dies at once three times in a row is reported then, and not with each further death."""
    told = [_deaths(*[0.1] * number).is_worth_telling for number in range(1, 12)]
    assert [False, False, True, *[False] * 6, True, False] == told


def test_deaths_at_work_are_not_a_failing_start():
    """A child that is killed again and again after some work is not reported as failing."""
    assert not _deaths(16.0, 16.0, 16.0, 16.0).is_failing
