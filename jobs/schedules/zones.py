"""Time zones: which instant a reading of a wall clock means, also where clocks are put forward or back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from holdfast.jobs.schedules.errors import InvalidSchedule

_SECOND = timedelta(seconds=1)


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of an IANA name such as `Europe/Berlin`. Raises InvalidSchedule."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise InvalidSchedule(
            detail=f"{name!r:.100} is no time zone", hint="Name one as IANA does: Europe/Berlin, or UTC."
        ) from error


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the zone's clocks are ahead of UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def local_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what the zone's clocks read at an instant, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the zone's clocks first read `local`.

    A reading that is left out when clocks are put forward means the instant at which they are: the
    first one that is valid again.
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if local_at(first, zone) == local:
        return first
    # With the offset that comes after the gap, the reading would be before it.
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return jump_between(before, first, zone)


def jump_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the zone's offset is first another than at `early`; it is so at `late`.

    Offsets change on whole seconds of UTC.
    """
    offset, start = offset_at(early, zone), early.replace(microsecond=0)
    low, high = 0, -((start - late) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(start + middle * _SECOND, zone) == offset:
            low = middle
        else:
            high = middle
    return start + high * _SECOND
