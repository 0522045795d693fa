"""How tickets are shared: by priority, then in turn over the tenants."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from holdfast.workers.services.sharing import Queueing, shares_of


def served(groups, count, turns=None):
    """Share tickets out, and count who got how many."""
    found = Counter()
    for share in shares_of(groups, count, {} if turns is None else turns):
        found[share.group.priority, share.group.tenant] += share.count
    return found


def test_the_lowest_number_is_first():
    """A higher priority is served to its end before the next one gets anything."""
    groups = [Queueing(5, "a", 10), Queueing(0, "b", 3), Queueing(9, None, 10)]
    assert {(0, "b"): 3, (5, "a"): 4} == served(groups, 7)


def test_tenants_take_turns_whatever_the_length_of_their_lines():
    """Ten thousand of one and ten of another: of two tickets each has one."""
    groups = [Queueing(5, "a", 10_000), Queueing(5, "b", 10)]
    assert {(5, "a"): 1, (5, "b"): 1} == served(groups, 2)
    assert {(5, "a"): 990, (5, "b"): 10} == served(groups, 1000)


def test_one_ticket_at_a_time_goes_round():
    """A ramp that begins with one call a second serves every tenant, not the first of the alphabet."""
    turns: dict[int, str] = {}
    groups = [Queueing(5, tenant, 10) for tenant in (None, "a", "b")]
    order = [next(iter(served(groups, 1, turns))) for _ in range(7)]
    assert [None, "a", "b", None, "a", "b", None] == [tenant for _, tenant in order]


def test_the_turn_goes_on_behind_who_was_served_last():
    """Two tickets for three tenants: after three sweeps each has had two."""
    turns: dict[int, str] = {}
    groups = [Queueing(5, tenant, 10) for tenant in ("a", "b", "c")]
    found = sum((served(groups, 2, turns) for _ in range(3)), Counter())
    assert {(5, "a"): 2, (5, "b"): 2, (5, "c"): 2} == found


def test_a_tenant_that_left_or_came_breaks_no_turn():
    """The turn is a place in the alphabet, not in a list."""
    turns = {5: "b"}
    assert {(5, "c"): 1} == served([Queueing(5, "a", 1), Queueing(5, "c", 1)], 1, turns)
    assert {(5, "a"): 1} == served([Queueing(5, "a", 1), Queueing(5, "b", 1)], 1, turns)


@given(
    lines=st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcdef"), st.integers(0, 30)), max_size=12),
    count=st.integers(0, 120),
    last=st.dictionaries(st.integers(0, 2), st.sampled_from("abcdef")),
)
def test_no_ticket_is_kept_back_nobody_gets_too_many_and_turns_are_fair(lines, count, last):
    """All tickets are given while somebody waits; no tenant gets two more than one that wants more."""
    groups = [Queueing(*line) for line in {(priority, tenant): (priority, tenant, waiting)
                                           for priority, tenant, waiting in lines}.values()]  # fmt: skip
    found = served(groups, count, last)
    assert min(count, sum(group.waiting for group in groups)) == sum(found.values())
    for one in groups:
        got = found[one.priority, one.tenant]
        assert got <= one.waiting
        for other in groups:
            has = found[other.priority, other.tenant]
            if other.priority == one.priority:
                assert got >= min(one.waiting, has - 1)
            elif other.priority > one.priority and has:
                assert got == one.waiting
