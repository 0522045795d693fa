"""Rules: the text that says when, and the instants that it means."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from holdfast.jobs.schedules.errors import InvalidSchedule
from holdfast.jobs.schedules.zones import instant_of, jump_between, local_at, offset_at, zone_of

LONGEST_RULE: Final = 255
LONGEST_INTERVAL: Final = timedelta(days=366)
SHORTCUTS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
HOW: Final = "Write five fields of cron (`30 2 * * MON-FRI`), a name (`@daily`), or `every 1h30m`."
_FIELDS: Final = 5
_HOURS: Final = 1
_EVERY: Final = re.compile(r"every((?:\s*[0-9]{1,9}\s*[dhms])+)")
_PART: Final = re.compile(r"([0-9]+)\s*([dhms])")
_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SECOND: Final = timedelta(seconds=1)
_FIRST_LOOK: Final = timedelta(hours=1)
_SOME_YEAR: Final = datetime(2000, 1, 1)  # noqa: DTZ001 -- a reading of some clock, of no zone


class Rule(Protocol):
    """When the ticks are. Instants are in UTC."""

    def next_after(self, instant: datetime) -> datetime:
        """Return the first tick after an instant."""
        ...

    def last_until(self, instant: datetime, first: datetime) -> datetime:
        """Return the last tick that is not after `instant`, `first` if there is none between the two."""
        ...


def rule_of(text: str, zone: str, anchor: datetime) -> Rule:
    """Read a rule. Intervals count from the anchor, whatever the zone. Raises InvalidSchedule."""
    seconds = interval_of(text)
    if seconds is not None:
        zone_of(zone)
        return Every(seconds, anchor)
    return _cron(text, zone)


def interval_of(text: str) -> int | None:
    """Return the seconds of a rule like `every 1h30m`; None where it is none. Raises InvalidSchedule."""
    found = _EVERY.fullmatch(text.strip().lower())
    if found is None:
        return None
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(found[1]))
    if not 0 < seconds <= LONGEST_INTERVAL.total_seconds():
        raise InvalidSchedule(detail=f"{text!r:.100} is not from 1 second to {LONGEST_INTERVAL.days} days")
    return seconds


def in_words(text: str) -> str:
    """Return what a rule means, for people. Raises InvalidSchedule."""
    if interval_of(text) is not None:
        return " ".join(text.split())
    expression = _expression_of(text)
    try:
        return CronSim(expression, _SOME_YEAR).explain()
    except (CronSimError, AssertionError) as error:
        raise _unreadable(expression, error) from error


class Every:
    """An interval of real time: the same number of seconds whatever clocks do."""

    def __init__(self, seconds: int, anchor: datetime) -> None:
        """Tick at the anchor, and every so many seconds from it."""
        self._interval = timedelta(seconds=seconds)
        self._anchor = anchor.astimezone(UTC)

    def next_after(self, instant: datetime) -> datetime:
        """Return the first tick after an instant."""
        return self._anchor + ((instant - self._anchor) // self._interval + 1) * self._interval

    def last_until(self, instant: datetime, first: datetime) -> datetime:
        """Return the last tick that is not after `instant`, `first` if there is none between the two."""
        return max(first, self._anchor + ((instant - self._anchor) // self._interval) * self._interval)


class Cron:
    """Readings of a zone's wall clocks.

    Where the field of the hours begins with a star, the rule is one of intervals: it ticks whenever the
    clocks read so, twice in an hour that comes twice. Everywhere else it names times of the day: one
    that comes twice ticks at the first, and all those that are left out when clocks are put forward
    tick once together, at that instant. CronSim knows which readings match; it gets no zone, for where
    clocks change it follows Debian's cron, which leaves `*/15 2 * * *` out for a whole day, and with
    half an hour (Lord Howe) it loses ticks.
    """

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """Read five fields. Raises InvalidSchedule."""
        fields = expression.split()
        if len(fields) != _FIELDS:
            raise InvalidSchedule(detail=f"{expression!r:.100} is no rule of a schedule", hint=HOW)
        self._expression = expression
        self._zone = zone
        self._is_interval = fields[_HOURS].startswith("*")
        try:
            next(self._readings_after(_SOME_YEAR))
        except (CronSimError, AssertionError) as error:
            raise _unreadable(expression, error) from error

    def next_after(self, instant: datetime) -> datetime:
        """Return the first tick after an instant."""
        return self._next_interval(instant) if self._is_interval else self._next_time(instant)

    def last_until(self, instant: datetime, first: datetime) -> datetime:
        """Return the last tick that is not after `instant`, `first` if there is none between the two."""
        tick = self._one_until(instant, first)
        while (following := self.next_after(tick)) <= instant:
            tick = following
        return tick

    def _one_until(self, instant: datetime, first: datetime) -> datetime:
        """Return a tick not long before the last one: what a century has missed is not counted."""
        look = _FIRST_LOOK
        while (start := instant - look) > first:
            tick = self.next_after(start)
            if tick <= instant:
                return tick
            look *= 4
        return first

    def _next_time(self, instant: datetime) -> datetime:
        for reading in self._readings_after(local_at(instant, self._zone)):
            tick = instant_of(reading, self._zone)
            if tick > instant:
                return tick
        raise AssertionError("unreachable: the readings never end without an error")

    def _next_interval(self, instant: datetime) -> datetime:
        reading = local_at(instant, self._zone)
        while True:
            offset = offset_at(instant, self._zone)
            tick = (next(self._readings_after(reading)) - offset).replace(tzinfo=UTC)
            if offset_at(tick, self._zone) == offset:
                return tick
            # The clocks change before: what they read from then on, the first reading included.
            instant = jump_between(instant, tick, self._zone)
            reading = local_at(instant, self._zone) - _SECOND

    def _readings_after(self, reading: datetime) -> Iterator[datetime]:
        yield from CronSim(self._expression, reading)
        raise InvalidSchedule(detail=f"{self._expression!r} never comes within fifty years", hint=HOW)


@lru_cache(maxsize=4096)
def _cron(text: str, zone: str) -> Cron:
    if len(text) > LONGEST_RULE:
        raise InvalidSchedule(detail=f"the rule has {len(text)} characters, at most {LONGEST_RULE}")
    return Cron(_expression_of(text), zone_of(zone))


def _expression_of(text: str) -> str:
    return SHORTCUTS.get(text.strip().lower(), text)


def _unreadable(expression: str, error: Exception) -> InvalidSchedule:
    return InvalidSchedule(detail=f"{expression!r:.100}: {str(error) or 'no rule of cron'}", hint=HOW)
