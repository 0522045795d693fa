"""Instants as people write them on a command line. Pure."""

from datetime import UTC, datetime, timedelta

from holdfast.jobs.durations import seconds_of

HOW = "write 2h for two hours ago, or an instant such as 2026-11-23 or 2026-11-23T14:30"


def instant_of(text: str, now: datetime) -> datetime:
    """Read `2h` as that long before `now`, or an instant in ISO 8601; without a zone it is UTC.

    Raises ValueError that says how to write one.
    """
    try:
        return now - timedelta(seconds=seconds_of(text))
    except (ValueError, OverflowError):
        pass
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r:.100} is no time; {HOW}") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
