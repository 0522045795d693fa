"""Instants and seconds: what goes in comes out, and nothing breaks the calendar."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, literal, select
from sqlalchemy.dialects import sqlite

from holdfast.ledger.types import (
    INSTANT_WIDTH,
    LONGEST_SECONDS,
    Instant,
    Later,
    Now,
    SecondsBetween,
    bounded_seconds,
    instant_text,
    now_plus,
)

INSTANTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001  hypothesis wants bounds without a zone
    max_value=datetime(8800, 1, 1),  # noqa: DTZ001  hypothesis wants bounds without a zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
SQLITE = sqlite.dialect()


@given(INSTANTS)
def test_round_trip(instant):
    """An instant keeps its microseconds and comes back in UTC."""
    text = Instant().process_bind_param(instant, SQLITE)
    back = Instant().process_result_value(text, SQLITE)
    assert (instant, UTC, INSTANT_WIDTH) == (back, back.tzinfo, len(text))


@given(INSTANTS, INSTANTS)
def test_text_sorts_as_time(one, two):
    """The text of the earlier instant is the smaller one, whatever the zones."""
    assert (one < two) == (instant_text(one) < instant_text(two))


def test_naive():
    """A datetime without a time zone is a fault."""
    with pytest.raises(ValueError, match="no time zone"):
        instant_text(datetime(2026, 1, 1))  # noqa: DTZ001  the point of the test


@pytest.mark.parametrize("junk", ["yesterday", "", "9999-99-99T00:00:00.000000Z", 17, b"x"])
def test_unreadable(junk):
    """What is no instant comes back as it is, and stops nothing."""
    assert junk == Instant().process_result_value(junk, SQLITE)


@given(st.floats())
def test_bounded_seconds(seconds):
    """Any float becomes a number of seconds that the calendar can take."""
    assert 0.0 <= bounded_seconds(seconds) <= LONGEST_SECONDS


def test_clock_of_sqlite():
    """SQLite's clock has the shape of our instants, and moves both ways."""
    with create_engine("sqlite://").connect() as connection:
        base = literal(datetime(2026, 1, 31, 12, tzinfo=UTC), Instant())
        now, soon, moved, back, between = connection.execute(
            select(
                Now(),
                now_plus(1.5),
                Later(base, 86_400.25),
                Later(base, -1),
                SecondsBetween(base, Later(base, 90.5)),
            )
        ).one()
        connection.close()
        connection.engine.dispose()
    assert timedelta(seconds=1.5) == soon - now
    assert datetime(2026, 2, 1, 12, 0, 0, 250_000, tzinfo=UTC) == moved
    assert datetime(2026, 1, 31, 11, 59, 59, tzinfo=UTC) == back
    assert 90.5 == pytest.approx(between, abs=0.001)
