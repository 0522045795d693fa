"""Arguments as people write them."""

import pytest

from holdfast.cli.arguments import job_arguments
from holdfast.jobs.errors import InvalidArguments

SCHEMA = {"properties": {"name": {"type": "string"}, "count": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("text", "pairs", "expected"),
    [
        (None, [], {}),
        ('{"count": 1}', [], {"count": 1}),
        ('{"count": 1}', ["count=2"], {"count": 2}),
        (None, ["name=5"], {"name": "5"}),
        (None, ["other=5"], {"other": 5}),
        (None, ["other=plain words"], {"other": "plain words"}),
        (None, ['other=["a", 1]'], {"other": ["a", 1]}),
        (None, ["name=a=b"], {"name": "a=b"}),
        (None, ["name="], {"name": ""}),
    ],
)
def test_values_are_read_as_they_are_meant(text, pairs, expected):
    """A value is JSON where that makes sense, and text where the task wants text."""
    assert expected == job_arguments(text, pairs, SCHEMA)


@pytest.mark.parametrize(
    ("text", "pairs"), [("{", []), ("[1]", []), ("5", []), (None, ["novalue"]), (None, ["=x"])]
)
def test_nonsense_is_refused(text, pairs):
    """What is no object and no name=value gets an error that says what to write."""
    with pytest.raises(InvalidArguments) as error:
        job_arguments(text, pairs, {})
    assert error.value.advice
