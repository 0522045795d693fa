"""What an upstream said about waiting."""

import math
from datetime import UTC, datetime, timedelta, timezone
from email.message import Message

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.resilience.retry_after import LONGEST_SECONDS, retry_after_seconds, wait_seconds

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)
EPOCH = NOW.timestamp()


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("Retry-After", "7", 7),
        ("Retry-After", " 7 ", 7),
        ("Retry-After", "0", 0),
        ("Retry-After", "0.5", 0.5),
        ("Retry-After", "1.", 1),
        ("Retry-After", 7, 7),
        ("Retry-After", 7.25, 7.25),
        ("Retry-After", b"7", 7),
        ("Retry-After", "20s", 20),
        ("retry-after-ms", "1500", 1.5),
        ("retry-after-ms", "1500.5", 1.5005),
        ("x-ms-retry-after-ms", "250", 0.25),
        ("x-amz-retry-after", "2500", 2.5),
        ("ratelimit-reset", "50", 50),
        ("x-ratelimit-reset", "60", 60),
        ("x-rate-limit-reset", "60", 60),
        ("x-ratelimit-reset-requests", "1s", 1),
        ("x-ratelimit-reset-tokens", "6m0s", 360),
        ("x-ratelimit-reset-tokens", "20ms", 0.02),
        ("x-ratelimit-reset-tokens", "2m59.56s", 179.56),
        ("x-ratelimit-reset-tokens", "1h2m3s", 3723),
        ("x-ratelimit-reset-tokens_usage_based", "9ms", 0.009),
        ("x-ratelimit-reset-tokens-day", "33011.38", 33011.38),
        ("anthropic-ratelimit-requests-reset", "2026-11-27T12:00:30Z", 30),
        ("anthropic-ratelimit-input-tokens-reset", "2026-11-27T14:01:00+02:00", 60),
    ],
)
def test_every_spelling_is_read(name, value, seconds):
    """Seconds, milliseconds, durations and instants come out as seconds, each header by its own rule."""
    assert seconds == pytest.approx(retry_after_seconds({name: value}, now=NOW))


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 27 Nov 2026 12:01:30 GMT",
        "Friday, 27-Nov-26 12:01:30 GMT",
        "Fri Nov 27 12:01:30 2026",
        "fri, 27 nov 2026 12:01:30 gmt",
        "2026-11-27T12:01:30Z",
        "2026-11-27t12:01:30.000z",
        "2026-11-27 13:01:30+01:00",
        "2026-11-27T12:01:30",
    ],
)
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-9, minutes=-30))])
def test_every_form_of_a_date_is_read(value, zone):
    """All three forms of RFC 9110 and RFC 3339 mean the same instant, wherever our clock stands."""
    assert 90 == retry_after_seconds({"Retry-After": value}, now=NOW.astimezone(zone))


def test_a_day_with_one_digit_is_read():
    """The asctime form pads the day with a space."""
    assert 90 == retry_after_seconds(
        {"Retry-After": "Sun Nov  1 00:01:30 2026"}, now=datetime(2026, 11, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (f"{EPOCH + 40:.0f}", 40),
        (f"{EPOCH + 40:.3f}", 40),
        (f"{(EPOCH + 40) * 1000:.0f}", 40),
        (f"{EPOCH - 40:.0f}", 0),
        ("1e9", 0),
        ("999999999", LONGEST_SECONDS),
    ],
)
def test_a_reset_may_be_an_instant(value, seconds):
    """From 1e9 on a number is seconds since 1970, from 1e11 on milliseconds, below it a wait."""
    assert seconds == pytest.approx(retry_after_seconds({"X-RateLimit-Reset": value}, now=NOW), abs=0.001)


@pytest.mark.parametrize(
    "value",
    ["Fri, 27 Nov 2026 11:59:00 GMT", "2001-01-01T00:00:00Z", "Friday, 27-Nov-98 12:00:00 GMT"],
)
def test_an_instant_that_has_passed_means_now(value):
    """A clock that is ahead of the upstream's is no reason to believe that it said nothing."""
    assert 0 == retry_after_seconds({"Retry-After": value}, now=NOW)


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "-1", "-0", "-7.5", "nan", "NaN", "inf", "-inf", "Infinity", "soon", "1_000", "0x10",
        "7 seconds", "5, 10", "\u0667", "1" * 129, "x" * 10_240, "31 Feb",
        "Fri, 31 Feb 2026 12:00:00 GMT", "2026-11-27",
        "Fri, 27 Xyz 2026 12:00:00 GMT", "2026-11-27T25:00:00Z", "Tue Feb 16 2021 09:02:42 GMT+0100 (CET)",
        "-1s", "1x", "s", b"\xff\xfe", None, True, [], object(), float("nan"), float("inf"), -1, -0.5,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms", "x-ratelimit-reset"])
def test_what_cannot_be_read_is_no_statement(name, value):
    """Negative numbers, words, half a date and ten kilobytes of text give None, and raise nothing."""
    assert retry_after_seconds({name: value}, now=NOW) is None


@pytest.mark.parametrize(
    "value", ["1e9", "1e999", "86401", "9" * 128, 10**400, "9999999h", "9999-12-31T23:59:59Z"]
)
def test_an_absurd_wait_is_cut_to_the_cap(value):
    """No upstream can put a job to sleep for 31 years."""
    assert LONGEST_SECONDS == retry_after_seconds({"Retry-After": value}, now=NOW)
    assert 5.0 == retry_after_seconds({"Retry-After": value}, now=NOW, cap_seconds=5.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2", "retry-after-ms": "1234"}, 1.234),
        ({"retry-after": "2", "retry-after-ms": "soon"}, 2),
        ({"retry-after": "2", "retry-after-ms": "-1"}, 2),
        ({"retry-after": "2", "x-ratelimit-reset-tokens": "6m0s"}, 2),
        ({"retry-after": "soon", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        (
            {
                "x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "4000",
            },
            1,
        ),
        (
            {
                "x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "7",
                "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "4000",
            },
            360,
        ),
        (
            {
                "anthropic-ratelimit-requests-reset": "2026-11-27T12:00:10Z",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-11-27T12:00:20Z",
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-output-tokens-reset": "2026-11-27T12:00:50Z",
                "anthropic-ratelimit-output-tokens-remaining": "800",
            },
            20,
        ),
        ({"x-ratelimit-reset-tokens": "0", "x-ratelimit-remaining-tokens": "-1"}, 0),
    ],
)  # fmt: skip
def test_one_header_wins(headers, seconds):
    """The exact statement beats the rounded one, both beat resets; of those the longest spent one counts."""
    assert seconds == pytest.approx(retry_after_seconds(headers, now=NOW))


def test_a_reset_counts_only_where_a_limit_was_hit():
    """Each answer carries resets, a crash of the upstream too; there they say nothing."""
    headers = {"x-ratelimit-reset-tokens": "6m0s"}
    assert retry_after_seconds(headers, now=NOW, also_resets=False) is None
    assert 3 == retry_after_seconds({**headers, "Retry-After": "3"}, now=NOW, also_resets=False)


def _message(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message


@pytest.mark.parametrize(
    "headers",
    [
        {"RETRY-AFTER": "7"},
        {b"Retry-After": b"7"},
        [("Content-Length", "0"), ("Retry-After", "7")],
        ((b"retry-after", b"7"),),
        [["retry-after", "3"], ["Retry-After", "7"]],
        iter([("Retry-After", "7")]),
        _message("Retry-After", "7"),
        [None, "xy", 3, ("a", "b", "c"), ("retry-after", "7")],
    ],
)
def test_headers_come_in_many_shapes(headers):
    """Mapping or pairs, text or bytes, in any case; of a doubled header the longer wait counts."""
    assert 7 == retry_after_seconds(headers, now=NOW)


class _Hostile:
    def items(self):
        yield "retry-after", "7"
        raise RuntimeError("the response was never read")


def test_what_was_read_before_headers_broke_stands():
    """Headers that raise half-way lose what follows, not what they said."""
    assert 7 == retry_after_seconds(_Hostile(), now=NOW)


@pytest.mark.parametrize("headers", [None, 7, "retry-after: 7", b"x", object(), {}, [], {"retry-after": {}}])
def test_what_are_no_headers_say_nothing(headers):
    """An exception without a response is asked like any other."""
    assert retry_after_seconds(headers, now=NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (7, 7), (0.5, 0.5), (timedelta(minutes=2), 120), (10**400, LONGEST_SECONDS), (1e9, LONGEST_SECONDS),
        (-1, None), (math.nan, None), (math.inf, None), (True, None), ("7", None), (None, None),
        (timedelta(seconds=-3), None),
    ],
)  # fmt: skip
def test_an_exception_may_carry_the_wait_itself(value, seconds):
    """Numbers and timedeltas are bounded as headers are."""
    assert seconds == wait_seconds(value)


NAMES = st.sampled_from(
    [
        "Retry-After", "retry-after-ms", "x-ratelimit-reset", "X-RateLimit-Reset-Tokens",
        "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-reset", "ratelimit-reset",
    ]
)  # fmt: skip
ALMOST = st.from_regex(
    r"[+-]?[0-9]{1,20}(\.[0-9]{0,9})?(e-?[0-9]{1,3}|ms|s|h|m[0-9]s)?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?"
    r"|[A-Z][a-z]{2,7}, [0-9]{2}[ -](Jan|Feb|Nov|Xyz)[ -]([0-9]{2}){1,2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|[A-Z][a-z]{2} (Jan|Feb|Nov) [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}",
    fullmatch=True,
)
VALUES = st.one_of(
    ALMOST,
    ALMOST.map(str.encode),
    st.text(max_size=200),
    st.binary(max_size=200),
    st.integers(),
    st.floats(),
    st.none(),
)
MOMENTS = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  the zone is the strategy's


@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=5), now=MOMENTS, cap=st.floats(0, 1e9))
@example(headers=[("Retry-After", "0001-01-01T00:00:00+23:59")], now=NOW, cap=60.0)
@example(headers=[("Retry-After", "Mon, 01 Jan 0000 00:00:00 GMT")], now=NOW, cap=60.0)
@example(headers=[("Retry-After", "Mon, 01 Jan 2027 00:00:60 GMT")], now=NOW, cap=60.0)
def test_no_header_raises_and_every_wait_is_within_its_bounds(headers, now, cap):
    """Whatever an upstream sends, the answer is None or lies between nothing and the cap."""
    wait = retry_after_seconds(headers, now=now, cap_seconds=cap)
    assert wait is None or 0 <= wait <= cap


@given(seconds=st.floats(0, LONGEST_SECONDS))
def test_a_number_is_read_as_it_is_meant(seconds):
    """No wait is shortened on the way."""
    assert seconds == pytest.approx(retry_after_seconds({"Retry-After": repr(seconds)}, now=NOW))


@given(wait=st.integers(0, 80_000), now=MOMENTS)
def test_a_date_is_as_far_away_as_it_was_written(wait, now):
    """All three forms of a date survive the way there and back."""
    now = now.replace(year=2026, microsecond=0) if now.month != 2 else NOW
    then = now + timedelta(seconds=wait)
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"):
        assert wait == retry_after_seconds({"Retry-After": then.strftime(form)}, now=now)
