"""What an upstream said about waiting, in any of its spellings, as seconds from now.

    what a value says                        what it gives
    `7`, `0.5`, `1e3`                        so many seconds; milliseconds in a header that says so
    `1s`, `6m0s`, `20ms`, `1h2m3.5s`         the sum, as Go and OpenAI write durations
    an HTTP date, an RFC 3339 instant        from `now` until then; 0.0 if it has passed, as clocks differ
    1e9 and more, in a reset                 an instant: seconds since 1970, from 1e11 on milliseconds
    more than the cap, `1e9` in Retry-After  the cap
    a negative number, `nan`, `inf`, text,
    more than 128 characters                 None: no statement

Nothing that an upstream can send raises. Which header wins:

1. `retry-after-ms` and its like: the same statement as `Retry-After`, not
   rounded to seconds. The clients of OpenAI and Anthropic read it first.
2. `Retry-After`: made for the very answer that carries it (RFC 9110, 10.2.3).
   Anthropic promises that earlier retries fail; GitHub asks to obey it before
   its reset.
3. The longest reset among the budgets that are spent (their `...-remaining` is
   0 or less); among all of them if none says that it is. A reset tells when a
   budget is full again, so it comes with every answer, is longer than needed,
   and means something only where a limit was hit: see `also_resets`.

A header that cannot be read counts as absent; of one that came twice, the longer wait counts.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, cast

LONGEST_SECONDS: Final = 86_400.0
"""The default cap. A day is the longest window of a limit that comes back by itself: quotas per day."""

_LONGEST_TEXT: Final = 128
_MOST_HEADERS: Final = 1_000
_PAIR: Final = 2
_LARGEST_NUMBER: Final = 10**18
"""Read for every larger one: float() refuses integers of 309 digits."""
_MILLISECONDS: Final = 1_000.0
_EPOCH_FROM: Final = 1e9
"""As a wait it would be 31 years, as an instant it is 2001."""
_EPOCH_MILLISECONDS_FROM: Final = 1e11
"""As seconds since 1970 it would be the year 5138, as milliseconds it is 1973."""
_IN_MILLISECONDS: Final = ("retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after")
_IN_SECONDS: Final = "retry-after"
_RESETS: Final = re.compile(r"(?:x-)?rate-?limit-reset(?:-[a-z0-9_-]+)?|anthropic-ratelimit-[a-z0-9-]+-reset")

_NUMBER: Final = re.compile(r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPENT: Final = re.compile(r"-[0-9.]+|0+(?:\.0*)?")
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:d|h|ms|m|us|ns|s))+")
_PART: Final = re.compile(r"([0-9.]+)(d|h|ms|m|us|ns|s)")
_UNIT_SECONDS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_HTTP_DATES: Final = (
    re.compile(
        rf"[a-z]{{3}}, (?P<day>[0-9]{{1,2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_TIME} (?:gmt|utc)"
    ),
    re.compile(
        rf"[a-z]+, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_TIME} (?:gmt|utc)"
    ),
    re.compile(rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) +(?P<day>[0-9]{{1,2}}) {_TIME} (?P<year>[0-9]{{4}})"),
)
"""RFC 9110, 5.6.7: IMF-fixdate, RFC 850 and asctime; names of months are English whatever the locale."""
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CENTURY: Final = 100
_YEARS_AHEAD: Final = 50
"""A two-digit year that seems further ahead is one of the past (RFC 9110, 5.6.7)."""
_LAST_SECOND: Final = 59
"""A leap second is written as 60, which no datetime holds."""

_Number = Callable[[float, datetime], float]
"""What a bare number in a header means, as seconds from `now`."""


def retry_after_seconds(
    headers: object, *, now: datetime, cap_seconds: float = LONGEST_SECONDS, also_resets: bool = True
) -> float | None:
    """Return how many seconds from `now` the upstream wants no call, or None if it did not say.

    `headers` is a mapping or a sequence of pairs, of text or bytes; names count
    in any case, anything else says nothing. `now` must know its time zone.
    `also_resets` False reads only what was said about this very answer: right
    where no limit was hit, as a reset then says nothing about the fault.
    """
    found = header_values(headers)
    for name in _IN_MILLISECONDS:
        if (wait := _longest(found.get(name, ()), now, _milliseconds)) is not None:
            return min(wait, cap_seconds)
    wait = _longest(found.get(_IN_SECONDS, ()), now, _seconds)
    if wait is None and also_resets:
        wait = _until_reset(found, now)
    return None if wait is None else min(wait, cap_seconds)


def wait_seconds(value: object, *, cap_seconds: float = LONGEST_SECONDS) -> float | None:
    """Return a wait that a client's exception carries as a value: a number of seconds, or a timedelta.

    The table above holds for it; text is none of a client's own numbers, and is no statement.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value < 0 or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return float(min(value, cap_seconds))


def reset_seconds(values: Iterable[str], *, now: datetime) -> float | None:
    """Return in how many seconds a budget is full again, by its reset headers; the longest counts."""
    return _longest(values, now, _until)


def header_values(headers: object) -> dict[str, list[str]]:
    """Return the values by the name in small letters, as far as they can be read. Raises nothing.

    Headers are foreign objects, and may do anything but give pairs.
    """
    told: dict[str, list[str]] = {}
    try:
        items: object = getattr(headers, "items", None)
        pairs = items() if callable(items) else headers
        for pair in islice(cast("Iterable[object]", pairs), _MOST_HEADERS):
            parts = cast("Sequence[object]", pair) if isinstance(pair, tuple | list) else ()
            if len(parts) == _PAIR:
                told.setdefault(_text(parts[0]).lower(), []).append(_text(parts[1]))
    except BaseException:  # noqa: BLE001 -- whatever foreign headers do, what was read up to there stands
        return told
    return told


def _text(value: object) -> str:
    """Give a header's name or value as text, empty if it is none or too long to be one of ours."""
    if isinstance(value, bytes | bytearray):
        value = value[: _LONGEST_TEXT + 1].decode("latin-1")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = repr(value if isinstance(value, float) else float(min(value, _LARGEST_NUMBER)))
    # Of the class, not of the object: a subclass may have given its own meaning to strip().
    return str.strip(value) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""


def _longest(values: Iterable[str], now: datetime, number: _Number) -> float | None:
    waits = [wait for value in values if (wait := _wait(value, now, number)) is not None]
    return max(waits, default=None)


def _until_reset(told: dict[str, list[str]], now: datetime) -> float | None:
    waits = {
        name: wait
        for name, values in told.items()
        if _RESETS.fullmatch(name) and (wait := _longest(values, now, _until)) is not None
    }
    spent = [
        wait for name, wait in waits.items() if _is_spent(told.get(name.replace("reset", "remaining"), ()))
    ]
    return max(spent or waits.values(), default=None)


def _is_spent(remaining: Iterable[str]) -> bool:
    return any(_SPENT.fullmatch(value) for value in remaining)


def _wait(value: str, now: datetime, number: _Number) -> float | None:
    if _NUMBER.fullmatch(value):
        return max(number(float(value), now), 0.0)
    if _DURATION.fullmatch(value):
        return sum(float(count) * _UNIT_SECONDS[unit] for count, unit in _PART.findall(value))
    instant = _instant(value, now)
    return None if instant is None else max((instant - now).total_seconds(), 0.0)


def _seconds(number: float, now: datetime) -> float:  # noqa: ARG001  one shape for all meanings of a number
    return number


def _milliseconds(number: float, now: datetime) -> float:  # noqa: ARG001  one shape for all meanings of a number
    return number / _MILLISECONDS


def _until(number: float, now: datetime) -> float:
    """Tell an instant from a wait: GitHub sends seconds since 1970, OpenRouter milliseconds, Azure a wait."""
    if number < _EPOCH_FROM:
        return number
    since_1970 = number if number < _EPOCH_MILLISECONDS_FROM else number / _MILLISECONDS
    return since_1970 - now.timestamp()


def _instant(value: str, now: datetime) -> datetime | None:
    try:
        if _RFC_3339.fullmatch(value.upper()):
            instant = datetime.fromisoformat(value.upper())
            return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return next(
            (_http_date(match, now) for form in _HTTP_DATES if (match := form.fullmatch(value.lower()))), None
        )
    except ValueError:
        # The 31st of February, hour 25, a month called "xyz": no statement.
        return None


def _http_date(match: re.Match[str], now: datetime) -> datetime:
    year = int(match["year"])
    if year < _CENTURY:
        year += now.year - now.year % _CENTURY
        if year > now.year + _YEARS_AHEAD:
            year -= _CENTURY
    return datetime(
        year,
        _MONTHS.index(match["month"]) + 1,
        int(match["day"]),
        int(match["hour"]),
        int(match["minute"]),
        min(int(match["second"]), _LAST_SECOND),
        tzinfo=UTC,
    )
