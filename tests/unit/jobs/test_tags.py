"""Tags and stretches of time, as people write them."""

import pytest

from holdfast.jobs.durations import seconds_of
from holdfast.jobs.tags import LONGEST_TAG, MOST_TAGS, is_tag, tags_of


@pytest.mark.parametrize("text", ["a", "import-7", "two words", "größe:XL", "x" * LONGEST_TAG, '"', "\\"])
def test_a_tag(text):
    """One printable word or several, in any alphabet."""
    assert is_tag(text)
    assert (text,) == tags_of([text])


@pytest.mark.parametrize(
    "text", ["", " a", "a ", "a,b", "a\nb", "\x00", "\ud800", "x" * (LONGEST_TAG + 1), 7, None]
)
def test_no_tag(text):
    """What could not be typed, or reads as two, is refused."""
    assert not is_tag(text)
    with pytest.raises(ValueError, match="is no tag"):
        tags_of([text])


def test_tags_are_few_and_each_is_once():
    """A repetition is dropped, too many are refused, and a text is no list of tags."""
    assert ("b", "a") == tags_of(["b", "a", "b"])
    assert MOST_TAGS == len(tags_of(f"t{number}" for number in range(MOST_TAGS)))
    with pytest.raises(ValueError, match="more than"):
        tags_of(f"t{number}" for number in range(MOST_TAGS + 1))
    with pytest.raises(ValueError, match="list"):
        tags_of("abc")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1.5h", 5400), ("7d", 604800), (" 2W ", 1209600)],
)
def test_a_stretch_of_time(text, seconds):
    """A number and a unit."""
    assert seconds == seconds_of(text)


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2y", "2h30m", "1e9s", "٢h", "nan h", "9999999999s"])
def test_no_stretch_of_time(text):
    """The error says how to write one."""
    with pytest.raises(ValueError, match="2h"):
        seconds_of(text)
