"""When a schedule ticks: cron, intervals, and the days on which clocks are put forward or back."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.errors import InvalidSchedule
from holdfast.jobs.schedules.rule import LONGEST_RULE, in_words, rule_of
from holdfast.jobs.schedules.zones import instant_of, jump_between, local_at, offset_at, zone_of

BERLIN, NEW_YORK, LORD_HOWE, APIA = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
)  # fmt: skip
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JUMPS = {
    # Forward by an hour, back by an hour, by half an hour, and over a whole day.
    BERLIN: [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    NEW_YORK: [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)],
    LORD_HOWE: [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)],
    APIA: [datetime(2011, 12, 30, 10, tzinfo=UTC)],
    "America/Havana": [datetime(2026, 11, 1, 5, tzinfo=UTC)],
    "Africa/Casablanca": [datetime(2026, 2, 15, 2, tzinfo=UTC), datetime(2026, 3, 22, 2, tzinfo=UTC)],
    "UTC": [datetime(2026, 3, 29, 1, tzinfo=UTC)],
}


def at(text):
    """Read `2026-03-29 00:00` as an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(rule, zone, start, end):
    """Give the ticks after `start` and before `end`, as the zone's clocks show them."""
    made, tick, found = rule_of(rule, zone, ANCHOR), at(start), []
    while (tick := made.next_after(tick)) < at(end):
        found.append(f"{tick.astimezone(zone_of(zone)):%d %H:%M%z}")
    return found


@pytest.mark.parametrize(("zone", "jumps"), JUMPS.items())
def test_the_days_of_these_tests_are_real(zone, jumps):
    """The time zone data of this machine knows of each change that a test is about."""
    where = zone_of(zone)
    for jump in jumps:
        before, after = offset_at(jump - timedelta(seconds=1), where), offset_at(jump, where)
        assert (before == after) == (zone == "UTC")
        if before != after:
            assert jump == jump_between(jump - timedelta(hours=9), jump + timedelta(hours=9), where)


@pytest.mark.parametrize(
    ("rule", "zone", "start", "end", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-03-28 00:00", "2026-03-30 12:00",
         ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        ("*/15 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 12:00", ["29 03:00+0200"]),
        ("0 2,3 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 12:00", ["29 03:00+0200"]),
        ("59 1-3 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 12:00",
         ["29 01:59+0100", "29 03:00+0200", "29 03:59+0200"]),
        ("30 2 * * *", NEW_YORK, "2026-03-08 00:00", "2026-03-09 12:00", ["08 03:00-0400", "09 02:30-0400"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03 00:00", "2026-10-04 20:00", ["04 02:30+1100", "05 02:15+1100"]),
        ("0 12 * * *", APIA, "2011-12-29 12:00", "2011-12-31 12:00",
         ["29 12:00-1000", "31 00:00+1400", "31 12:00+1400"]),
        ("0 0 * * *", APIA, "2011-12-29 08:00", "2012-01-01 00:00",
         ["29 00:00-1000", "31 00:00+1400", "01 00:00+1400"]),
        ("0 0 30 12 *", APIA, "2011-12-01 00:00", "2012-12-31 12:00", ["31 00:00+1400", "30 00:00+1400"]),
    ],
)  # fmt: skip
def test_a_time_that_is_left_out_ticks_once_at_the_first_instant_that_is_valid(
    rule, zone, start, end, expected
):
    """All readings that are left out tick together, and with what ticks at that instant anyway."""
    assert expected == ticks(rule, zone, start, end)


@pytest.mark.parametrize(
    ("rule", "zone", "start", "end", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-26 12:00", ["25 02:30+0200", "26 02:30+0100"]),
        ("0,30 1-3 * * *", BERLIN, "2026-10-24 12:00", "2026-10-25 12:00",
         ["25 01:00+0200", "25 01:30+0200", "25 02:00+0200", "25 02:30+0200", "25 03:00+0100",
          "25 03:30+0100"]),
        ("*/30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-25 12:00", ["25 02:00+0200", "25 02:30+0200"]),
        ("59 1 * * SUN", NEW_YORK, "2026-10-31 12:00", "2026-11-02 12:00", ["01 01:59-0400"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04 00:00", "2026-04-05 20:00", ["05 01:45+1100", "06 01:45+1030"]),
        ("0 0 * * *", "America/Havana", "2026-10-31 12:00", "2026-11-02 12:00",
         ["01 00:00-0400", "02 00:00-0500"]),
    ],
)  # fmt: skip
def test_a_time_that_comes_twice_ticks_at_the_first(rule, zone, start, end, expected):
    """Clocks are put back: a time of the day has one tick, the earlier one."""
    assert expected == ticks(rule, zone, start, end)


@pytest.mark.parametrize(
    ("rule", "zone", "start", "end", "expected"),
    [
        ("0 * * * *", BERLIN, "2026-03-28 23:30", "2026-03-29 02:30",
         ["29 01:00+0100", "29 03:00+0200", "29 04:00+0200"]),
        ("30 * * * *", BERLIN, "2026-03-29 00:00", "2026-03-29 02:00", ["29 01:30+0100", "29 03:30+0200"]),
        ("30 * * * *", BERLIN, "2026-10-24 23:00", "2026-10-25 03:00",
         ["25 01:30+0200", "25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
        ("0 */2 * * *", BERLIN, "2026-10-24 21:30", "2026-10-25 04:00",
         ["25 00:00+0200", "25 02:00+0200", "25 02:00+0100", "25 04:00+0100"]),
        ("45 * * * *", LORD_HOWE, "2026-04-04 13:00", "2026-04-04 17:00",
         ["05 00:45+1100", "05 01:45+1100", "05 01:45+1030", "05 02:45+1030"]),
        ("*/15 * * * *", LORD_HOWE, "2026-10-03 15:10", "2026-10-03 15:50",
         ["04 01:45+1030", "04 02:30+1100", "04 02:45+1100"]),
        ("0 * * * *", APIA, "2011-12-30 08:30", "2011-12-30 11:30",
         ["29 23:00-1000", "31 00:00+1400", "31 01:00+1400"]),
        ("*/30 * * * SUN", "America/Havana", "2026-11-01 04:10", "2026-11-01 06:10",
         ["01 00:30-0400", "01 00:00-0500", "01 00:30-0500", "01 01:00-0500"]),
        ("every 1h", BERLIN, "2026-10-24 23:30", "2026-10-25 02:30",
         ["25 02:00+0200", "25 02:00+0100", "25 03:00+0100"]),
        ("every 45m", LORD_HOWE, "2026-04-04 14:00", "2026-04-04 16:00",
         ["05 01:15+1100", "05 01:30+1030", "05 02:15+1030"]),
    ],
)  # fmt: skip
def test_intervals_tick_at_each_real_interval(rule, zone, start, end, expected):
    """Also in an hour that comes twice; nothing is made up for one that is left out."""
    assert expected == ticks(rule, zone, start, end)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("0 9 * * MON-FRI", ["02 09:00", "03 09:00", "04 09:00"]),
        ("0 0 1,15 * *", ["01 00:00", "15 00:00", "01 00:00"]),
        ("0 0 13 * FRI", ["06 00:00", "13 00:00", "20 00:00"]),
        ("0 0 L * *", ["31 00:00", "30 00:00", "31 00:00"]),
        ("5/20 8 * mar *", ["01 08:05", "01 08:25", "01 08:45"]),
        ("  0   12  *  *  7 ", ["01 12:00", "08 12:00", "15 12:00"]),
        ("@hourly", ["01 00:00", "01 01:00", "01 02:00"]),
        ("@Weekly", ["01 00:00", "08 00:00", "15 00:00"]),
        ("@monthly", ["01 00:00", "01 00:00", "01 00:00"]),
        ("every 36h", ["02 00:00", "03 12:00", "05 00:00"]),
        ("Every 1d 12h", ["02 00:00", "03 12:00", "05 00:00"]),
    ],
)
def test_rules_mean_what_cron_means(rule, expected):
    """Fields, names, ranges, steps and lists, in any case; the first ticks of March 2026, a Sunday."""
    made, tick, found = rule_of(rule, "UTC", ANCHOR), at("2026-02-28 23:59:59"), []
    for _ in expected:
        tick = made.next_after(tick)
        found.append(f"{tick:%d %H:%M}")
    assert expected == found
    assert in_words(rule)


@pytest.mark.parametrize(
    ("rule", "zone"),
    [
        ("", "UTC"), ("* * * *", "UTC"), ("* * * * * *", "UTC"), ("60 * * * *", "UTC"),
        ("* 24 * * *", "UTC"), ("* * * * FRIDAY", "UTC"), ("@reboot", "UTC"), ("every 0s", "UTC"),
        ("every 367d", "UTC"), ("every 2y", "UTC"), ("every", "UTC"), ("0 0 31 2 *", "UTC"),
        ("0 0 30 FEB *", "UTC"), ("*/0 * * * *", "UTC"), ("5-1 * * * *", "UTC"), ("\u0665 * * * *", "UTC"),
        ("* " * LONGEST_RULE, "UTC"), ("0 0 * * *", "Mars/Olympus"), ("every 5s", "Mars/Olympus"),
        ("0 0 * * *", ""), ("0 0 * * *", "../etc/passwd"), ("0 0 * * *", "Europe"), ("0 0 * * *", "a\0b"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(rule, zone):
    """With an error of ours that shows the rule, and never at the first tick."""
    with pytest.raises(InvalidSchedule):
        rule_of(rule, zone, ANCHOR)


@given(rule=st.text(st.sampled_from("0123456789*/,-#LW@? MONFRIevryhdms\u00b2"), max_size=24))
def test_whatever_is_written_is_a_rule_or_refused(rule):
    """No text ends in another error, and what is taken ticks and can be put into words."""
    try:
        made = rule_of(rule, "UTC", ANCHOR)
    except InvalidSchedule:
        return
    assert made.next_after(ANCHOR) > ANCHOR
    assert in_words(rule)


def field(values):
    """Write a set of numbers as a field of cron."""
    return ",".join(str(value) for value in sorted(values))


numbers = st.sets(st.integers(0, 59), min_size=1, max_size=4)
hours = st.one_of(st.none(), st.sets(st.integers(0, 23), min_size=1, max_size=8))
places = st.sampled_from([(zone, jump) for zone, jumps in JUMPS.items() for jump in jumps])


@given(place=places, minutes=numbers, wanted=hours)
def test_the_ticks_around_a_change_are_those_that_counting_the_minutes_finds(place, minutes, wanted):
    """Against a slow second opinion: each minute of the days around is looked at, and each reading."""
    name, jump = place
    zone, begin, end = zone_of(name), jump - timedelta(hours=30), jump + timedelta(hours=30)
    rule = rule_of(f"{field(minutes)} {'*' if wanted is None else field(wanted)} * * *", name, ANCHOR)

    def is_match(reading):
        return reading.minute in minutes and (wanted is None or reading.hour in wanted)

    instants = [begin + n * MINUTE for n in range(60 * 60)]
    read = [instant for instant in instants if is_match(local_at(instant, zone))]
    expected = set(read)
    if wanted is not None:
        expected = {instant for instant in read if instant_of(local_at(instant, zone), zone) == instant}
        last, first = local_at(jump - MINUTE, zone), local_at(jump, zone)
        left_out = [last + n * MINUTE for n in range(1, max((first - last) // MINUTE, 1))]
        expected |= {jump for reading in left_out if is_match(reading)}
    found, tick = [], begin - timedelta(seconds=1)
    while (tick := rule.next_after(tick)) < end:
        found.append(tick)
    assert sorted(expected) == found


RULES = ["30 2 * * *", "0 * * * *", "*/7 1-4 * * *", "0 0 * * SUN", "*/15 * * * *", "every 47m", "15 1 1 * *"]
moments = st.builds(
    lambda place, seconds: (place[0], place[1] + timedelta(seconds=seconds)),
    places,
    st.floats(-2e5, 2e5).map(lambda number: round(number, 6)),
)


@given(rule=st.sampled_from(RULES), moment=moments)
def test_a_next_tick_is_later_and_nothing_lies_between(rule, moment):
    """Whoever asks at any time before it hears of the same tick: one tick has one instant."""
    zone, instant = moment
    made = rule_of(rule, zone, ANCHOR)
    tick = made.next_after(instant)
    assert tick > instant
    just_before = tick - timedelta(microseconds=1)
    for share in (0.25, 0.5, 1.0):
        assert tick == made.next_after(min(instant + (tick - instant) * share, just_before))
    assert tick < made.next_after(tick)


@given(rule=st.sampled_from(RULES), moment=moments, back=st.integers(0, 3 * 86400))
def test_the_last_tick_is_the_last(rule, moment, back):
    """However long ago the first one was, and wherever clocks changed since."""
    zone, instant = moment
    made = rule_of(rule, zone, ANCHOR)
    first = made.next_after(instant - timedelta(seconds=back))
    if first > instant:
        return
    last = made.last_until(instant, first)
    assert first <= last <= instant < made.next_after(last)


def test_the_last_of_very_many_is_found_at_once():
    """A schedule of each second, or of one hour in a year, that nobody has looked at for ten years."""
    now = at("2026-11-28 12:00:00")
    for rule, last in [
        ("every 1s", now), ("* * * * *", now), ("* 3 1 1 *", at("2026-01-01 03:59")),
    ]:  # fmt: skip
        made = rule_of(rule, "UTC", at("2016-01-01 00:00"))
        assert last == made.last_until(now, made.next_after(at("2016-01-01 00:00")))


@given(seconds=st.integers(1, 400_000), instant=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 -- made aware below
def test_intervals_keep_their_distance(seconds, instant):
    """Each is as long as it says, and counts from the anchor, before and after it."""
    made, tick, found = rule_of(f"every {seconds}s", BERLIN, ANCHOR), instant.replace(tzinfo=UTC), []
    for _ in range(4):
        tick = made.next_after(tick)
        found.append(tick)
    assert {timedelta(seconds=seconds)} == {later - earlier for earlier, later in pairwise(found)}
    assert timedelta(0) == (found[0] - ANCHOR) % timedelta(seconds=seconds)
