"""What answers of OpenAI and Anthropic say about what is left."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resilience.limits.headers import Told, told

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_openai():
    """Durations, and requests and tokens apart."""
    headers = {
        "x-ratelimit-limit-requests": "60",
        "X-RateLimit-Remaining-Requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    requests, tokens = told(headers, now=NOW)
    assert Told("requests", 59, 60, 1.0) == requests
    assert Told("tokens", 0, 150_000, 360.0) == tokens
    assert 0.0 == requests.next_in_seconds
    assert 360 / 150_000 == tokens.next_in_seconds


def test_anthropic():
    """Instants, and tokens of either direction."""
    headers = [
        (b"anthropic-ratelimit-input-tokens-limit", b"1000"),
        (b"anthropic-ratelimit-input-tokens-remaining", b"0"),
        (b"anthropic-ratelimit-input-tokens-reset", b"2026-01-01T12:00:30Z"),
    ]
    assert [Told("input_tokens", 0, 1_000, 30.0)] == told(headers, now=NOW)


def test_without_a_name_it_is_requests():
    """As most others send; without a limit, the whole reset is waited for."""
    (word,) = told({"ratelimit-remaining": "0", "ratelimit-reset": "20"}, now=NOW)
    assert Told("requests", 0, None, 20.0) == word
    assert 20.0 == word.next_in_seconds


@pytest.mark.parametrize("headers", [None, 7, "text", {"x-ratelimit-remaining": "many"}, [("a",)], {1: 2}])
def test_what_cannot_be_read_says_nothing(headers):
    """And raises nothing."""
    assert [] == told(headers, now=NOW)


@given(
    st.dictionaries(
        st.sampled_from(
            ["x-ratelimit-remaining", "x-ratelimit-remaining-tokens", "x-ratelimit-limit", "ratelimit-reset"]
        ),
        st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.binary(max_size=30)),
    )
)
def test_nothing_that_is_sent_raises(headers):
    """Whatever it is, what is left is a whole number from 0 on."""
    assert all(word.remaining >= 0 for word in told(headers, now=NOW))
