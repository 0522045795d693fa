"""Instants on the command line."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.cli.instants import instant_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("90s", NOW - timedelta(seconds=90)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T14:30", datetime(2026, 11, 22, 14, 30, tzinfo=UTC)),
        ("2026-11-22T14:30+02:00", datetime(2026, 11, 22, 12, 30, tzinfo=UTC)),
        ("2026-11-22T14:30Z", datetime(2026, 11, 22, 14, 30, tzinfo=UTC)),
    ],
)
def test_an_instant(text, instant):
    """A stretch before now, or an instant, which is UTC where it names no zone."""
    assert instant == instant_of(text, NOW)


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "999999999w", "2026-13-01"])
def test_no_instant(text):
    """The error says how to write one."""
    with pytest.raises(ValueError, match="2h for two hours ago"):
        instant_of(text, NOW)
