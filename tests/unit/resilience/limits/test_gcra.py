"""The arithmetic of rate limits: what passes, what waits, and how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resilience.limits.gcra import (
    LONGEST_CLOSED,
    SPREAD,
    Bucket,
    Correction,
    Demand,
    correct,
    take,
)
from holdfast.resilience.limits.policy import MICRO, RateLimit

NOW = 1_800_000_000 * MICRO
MINUTE = 60 * MICRO


def a_demand(limit: RateLimit, weight: int = 1) -> Demand:
    """What a call of a weight wants of a limit."""
    return Demand(limit.cost(weight), limit.depth, limit.longest)


def passed_at_once(limit: RateLimit, weight: int = 1, most: int = 5_000) -> int:
    """How many calls pass in the same microsecond."""
    bucket = Bucket()
    for count in range(most):
        wait, (bucket,) = take([bucket], [a_demand(limit, weight)], 0, NOW)
        if wait:
            return count
    return most


@given(st.integers(1, 5_000), st.integers(1, 1_000), st.sampled_from([1.0, 7.0, 60.0, 3_600.0, 86_400.0]))
def test_a_burst_passes_and_no_more(count, burst, seconds):
    """After a rest exactly as many as the limit says, whatever does not divide evenly."""
    limit = RateLimit("requests", count, seconds, burst)
    if limit.cost(1) > 1_000:
        assert burst == passed_at_once(limit)


@given(st.integers(1, 600), st.integers(1, 50), st.lists(st.integers(0, 3 * MICRO), max_size=200))
def test_no_stretch_lets_more_pass_than_its_count_and_a_burst(count, burst, gaps):
    """Over any arrivals, in a minute from the first."""
    limit, bucket, now, passed = RateLimit("requests", count, 60, burst), Bucket(), NOW, 0
    for gap in gaps:
        now += gap
        if now >= NOW + MINUTE:
            break
        wait, (bucket,) = take([bucket], [a_demand(limit)], 0, now)
        passed += not wait
    assert passed <= count + burst


@given(st.integers(1, 100), st.integers(1, 20), st.integers(1, 400))
def test_whoever_waits_as_told_passes(count, burst, weight):
    """The wait is exact where nobody else calls: a microsecond before, it does not pass."""
    limit, demand = (
        RateLimit("tokens", count, 60, burst),
        a_demand(RateLimit("tokens", count, 60, burst), weight),
    )
    wait, (full,) = take([Bucket(NOW + limit.depth)], [demand], 0, NOW)
    assert wait > 0
    assert take([full], [demand], 0, NOW + wait - 1)[0] > 0
    assert 0 == take([full], [demand], 0, NOW + wait)[0]


def test_a_weight_beyond_the_burst_passes_a_full_bucket_and_is_owed():
    """It does not wait for ever; whoever comes next waits for what it took."""
    limit = RateLimit("tokens", 600, 60, burst=10)
    wait, (bucket,) = take([Bucket()], [a_demand(limit, 300)], 0, NOW)
    assert 0 == wait
    wait, _ = take([bucket], [a_demand(limit, 10)], 0, NOW)
    assert 30 * MICRO == pytest.approx(wait, abs=100)


def test_a_thousand_refused_at_once_have_turns_of_their_own():
    """One for each interval of the limit, five minutes long; and nobody was charged for waiting."""
    limit = RateLimit("requests", 600, 60, burst=1)
    bucket = Bucket(NOW + limit.depth)
    waits = []
    for _ in range(1_000):
        wait, (bucket,) = take([bucket], [a_demand(limit)], 0, NOW)
        waits.append(wait)
    assert 1_000 == len(set(waits))
    assert waits == [waits[0] + number * limit.cost(1) for number in range(1_000)]
    assert NOW + limit.depth == bucket.full_at


def test_turns_begin_again_where_they_would_be_too_late():
    """A poller that ignores its wait moves nobody's turn beyond five minutes."""
    limit = RateLimit("requests", 60, 60, burst=1)
    bucket = Bucket(NOW + limit.depth)
    waits = []
    for _ in range(2_000):
        wait, (bucket,) = take([bucket], [a_demand(limit)], 0, NOW)
        waits.append(wait)
    assert max(waits) <= SPREAD + limit.cost(1)
    assert 1 < waits.count(waits[0]) <= 8


def test_all_or_nothing():
    """The limit that has room is not charged where another one refuses."""
    requests, tokens = RateLimit("requests", 60, 60, burst=5), RateLimit("tokens", 600, 60, burst=100)
    demands = [a_demand(requests), a_demand(tokens, 50)]
    wait, after = take([Bucket(), Bucket(NOW + tokens.depth)], demands, 0, NOW)
    assert wait > 0
    assert Bucket() == after[0]
    assert NOW + tokens.depth == after[1].full_at


def test_a_closed_upstream_lets_nothing_pass_and_spreads_those_who_wait():
    """Not all at the instant at which it opens."""
    limit, bucket, waits = RateLimit("requests", 60, 60), Bucket(), []
    for _ in range(3):
        wait, (bucket,) = take([bucket], [a_demand(limit)], NOW + 7 * MICRO, NOW)
        waits.append(wait)
    assert [7 * MICRO, 8 * MICRO, 9 * MICRO] == waits
    assert LONGEST_CLOSED == take([], [], NOW + 10**12, NOW)[0]


@pytest.mark.parametrize("is_asked_meanwhile", [False, True])
def test_a_clock_that_went_back_closes_nothing_for_good(is_asked_meanwhile):
    """A debt is cut to ten times the limit's own time, and what was cut is not owed later."""
    limit, bucket = RateLimit("requests", 60, 60), Bucket(NOW + 86_400 * MICRO)
    wait, (bucket,) = take([bucket], [a_demand(limit)], 0, NOW)
    assert 0 < wait <= limit.longest
    if is_asked_meanwhile:
        _, (bucket,) = take([bucket], [a_demand(limit)], 0, NOW + MINUTE)
    assert 0 == take([bucket], [a_demand(limit)], 0, NOW + limit.longest)[0]


def test_an_absurd_weight_closes_nothing_for_good():
    """It is owed for ten times the limit's own time; nor does one that waits keep the others waiting."""
    limit = RateLimit("tokens", 90_000, 60)
    _, (bucket,) = take([Bucket()], [a_demand(limit, 10**9)], 0, NOW)
    assert NOW + limit.longest == bucket.full_at
    _, (bucket,) = take([bucket], [a_demand(limit, 10**9)], 0, NOW)
    assert bucket.queue_at <= NOW + limit.longest + SPREAD
    assert 0 == take([bucket], [a_demand(limit)], 0, NOW + limit.longest)[0]


@given(st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_a_correction_has_its_bounds(full_in, change, floor):
    """Never before now, never beyond the longest debt, never above the floor that is known."""
    after = correct(Bucket(NOW + full_in), Correction(change, floor, 2 * 10**9), NOW)
    full_at = max(after.full_at, NOW)
    assert NOW + floor <= full_at <= NOW + 2 * 10**9
    assert full_at >= min(NOW + full_in + change, NOW + 2 * 10**9)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("60/min", RateLimit("requests", 60, 60.0)),
        ("90_000 tokens/min", RateLimit("tokens", 90_000, 60.0)),
        ("5 requests per 10 s by tenant", RateLimit("requests", 5, 10.0, by="tenant")),
        ("1000 / day", RateLimit("requests", 1_000, 86_400.0)),
    ],
)
def test_limits_are_read_as_they_are_written(text, limit):
    """In the ways that people write them."""
    assert limit == RateLimit.parse(text)


@pytest.mark.parametrize(
    "text", ["", "60", "60/week", "0/min", "-1/min", "6.5/s", "60/min by", "2 days", "9/0 s"]
)
def test_what_is_no_limit_is_refused(text):
    """At once, not at the first call."""
    with pytest.raises(ValueError, match=r"RateLimit|no rate limit"):
        RateLimit.parse(text)
