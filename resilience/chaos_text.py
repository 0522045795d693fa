"""How faults on purpose are written down.

    search:fault=0.2;503,latency=0.5..2s,hang=0.01 openai*:throttle=0.1;5s *:latency=100ms

Entries stand apart by spaces; the first that means an upstream holds. Each is

    NAME:WHAT,WHAT,...     NAME is the upstream's (it may hold colons, and no
                           spaces), a beginning with `*`, or `*` for all
    fault=CHANCE           an InjectedFault; `fault=0.2;503` names a status, 500 to 599
    hang=CHANCE            no answer; `hang=0.01;30s`: a plain function for 30 s, else 60 s
    throttle=CHANCE        a push-back; `throttle=0.1;5s`: with Retry-After 5 s, else 1 s
    latency=TIME           so much later; `0.5..2s`: between the two; `2s;0.3`: 3 of 10 calls

A CHANCE is from 0 to 1, of each call; fault, hang and throttle are one choice, so
theirs come to at most 1. A TIME is a number with `ms`, `s` or `m`, at most an hour.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from holdfast.resilience.breaker.ticket import is_upstream
from holdfast.resilience.chaos import EVERY, Strategy

LONGEST_SECONDS: Final = 3600.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_TIME: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m)?", re.ASCII)
_CHANCE: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_STATUSES: Final = range(500, 600)
_RANGE: Final = ".."


def strategies_of(text: str) -> tuple[Strategy, ...]:
    """Read strategies; an empty text has none. Raises ValueError, which names the place and the rule."""
    found: list[Strategy] = []
    for match in re.finditer(r"\S+", text):
        strategy = _entry(match.group(), match.start())
        if any(strategy.upstream == other.upstream for other in found):
            raise _error(match.start(), strategy.upstream, "stands here twice")
        found.append(strategy)
    return tuple(found)


def _entry(text: str, place: int) -> Strategy:
    name, colon, rest = text.rpartition(":")
    if not colon or not rest:
        raise _error(place, text, "has no strategy; write NAME:fault=0.1")
    if not is_upstream(name) or EVERY in name[:-1]:
        raise _error(place, name or text, "is no upstream's name; `*` may only stand at its end")
    place += len(name) + 1
    fields: dict[str, Any] = {}
    for part in rest.split(","):
        read = _part(part, place)
        if read.keys() & fields.keys():
            raise _error(place, part, "says the same thing a second time")
        fields |= read
        place += len(part) + 1
    try:
        return Strategy(name, **fields)
    except ValueError as error:
        raise _error(place - len(rest) - 1, rest, str(error)) from error


def _part(text: str, place: int) -> dict[str, Any]:
    what, equals, value = text.partition("=")
    first, semicolon, second = value.partition(";")
    read = _READERS.get(what)
    if read is None or not equals:
        raise _error(place, text, f"is none of {', '.join(f'{name}=' for name in _READERS)}")
    try:
        return read(first, second if semicolon else None)
    except ValueError as error:
        raise _error(place, text, str(error)) from error


def _fault(chance: str, status: str | None) -> dict[str, Any]:
    if status is not None and not (status.isascii() and status.isdigit() and int(status) in _STATUSES):
        raise ValueError("names a status that is not from 500 to 599")
    return {"fault": _chance(chance), "status": None if status is None else int(status)}


def _hang(chance: str, seconds: str | None) -> dict[str, Any]:
    read: dict[str, Any] = {"hang": _chance(chance)}
    return read if seconds is None else read | {"hang_seconds": _seconds(seconds)}


def _throttle(chance: str, seconds: str | None) -> dict[str, Any]:
    read: dict[str, Any] = {"throttle": _chance(chance)}
    return read if seconds is None else read | {"retry_after_seconds": _seconds(seconds)}


def _latency(span: str, chance: str | None) -> dict[str, Any]:
    least, dots, most = span.partition(_RANGE)
    longest = _seconds(most if dots else least)
    shortest = _seconds(least, unit=_unit(most)) if dots else longest
    share = 1.0 if chance is None else _chance(chance)
    return {"latency": share, "least_seconds": shortest, "most_seconds": longest}


_READERS: Final[dict[str, Callable[[str, str | None], dict[str, Any]]]] = {
    "fault": _fault,
    "latency": _latency,
    "hang": _hang,
    "throttle": _throttle,
}


def _chance(text: str) -> float:
    if not _CHANCE.fullmatch(text) or not float(text) <= 1:
        raise ValueError("has a chance that is not a number from 0 to 1")
    return float(text)


def _seconds(text: str, unit: str = "") -> float:
    match = _TIME.fullmatch(text)
    unit = unit if match is None else match["unit"] or unit
    if match is None or not unit:
        raise ValueError("has a time that is no number with ms, s or m")
    seconds = float(match["number"]) * _UNITS[unit]
    if seconds > LONGEST_SECONDS:
        raise ValueError("has a time of more than an hour")
    return seconds


def _unit(text: str) -> str:
    match = _TIME.fullmatch(text)
    return "" if match is None else match["unit"] or ""


def _error(place: int, text: str, problem: str) -> ValueError:
    return ValueError(f"at character {place + 1}, {text!r} {problem}")
