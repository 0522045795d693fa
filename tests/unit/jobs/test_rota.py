"""Whose job is started next."""

from collections import Counter

import pytest

from holdfast.jobs.rota import Group, Rota, weights_of


def groups(*tenants, priority=5, queue="default"):
    """Name the tenants that wait, in their order."""
    return [Group(priority, queue, tenant) for tenant in tenants]


def tenants(plan):
    """Return whose jobs are started, in order."""
    return [group.tenant for group in plan]


def test_tenants_take_turns():
    """Each starts one job in its turn; those without a name are one tenant more."""
    assert ["a", "b", None] * 2 == tenants(Rota().plan(groups("a", "b", None), 6))


def test_weights():
    """A tenant starts as many jobs in its turn as it weighs, from claim to claim."""
    rota = Rota({"b": 3})
    assert ["a", "b", "b"] == tenants(rota.plan(groups("a", "b"), 3))
    assert ("b", True) == rota.last(5, "default")
    assert ["b", "a", "b"] == tenants(rota.plan(groups("b", "a"), 3))


def test_a_turn_ends_where_nothing_waits():
    """Who has used a part of its turn and has nothing more holds nobody up."""
    rota = Rota({"b": 3})
    rota.plan(groups("b"), 1)
    assert ["a", "a"] == tenants(rota.plan(groups("a"), 2))


def test_the_least_urgent_starve_never():
    """Nine of ten starts are of the most urgent priority, the tenth of the others in turn."""
    waiting = [*groups("a", priority=1), *groups("b", priority=5), *groups("c", priority=9)]
    plan = Rota().plan(waiting, 1000)
    assert Counter({1: 900, 5: 50, 9: 50}) == Counter(group.priority for group in plan)
    assert {1} == {group.priority for group in plan[:9]}


def test_queues_take_turns():
    """Within a priority, each queue that waits starts as many."""
    waiting = [*groups("a", "b", queue="one"), *groups("a", queue="two")]
    plan = Rota().plan(waiting, 6)
    assert ["one", "two"] * 3 == [group.queue for group in plan]
    assert ["a", "b", "a"] == [group.tenant for group in plan if group.queue == "one"]


def test_a_plan_that_came_to_nothing():
    """A copy goes on by itself; the rota moves on only if it becomes the copy."""
    rota = Rota()
    draft = rota.copy()
    assert ["a"] == tenants(draft.plan(groups("a", "b"), 1))
    assert rota.last(5, "default") is None
    rota.become(draft)
    assert ("a", False) == rota.last(5, "default")


def test_nothing_waits():
    """Nobody is named, and nobody's turn is over."""
    rota = Rota()
    assert not rota.plan([], 5)
    assert 0 == rota.starts


def test_weights_are_read():
    """As they are written in the settings."""
    assert {"acme": 3, "a=b": 2} == weights_of(["acme=3", " a=b = 2 "])


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (["acme"], "says not which weight"),
        (["=3"], "says not which weight"),
        (["acme=0"], "from 1 to 100"),
        (["acme=101"], "from 1 to 100"),
        (["acme=1.5"], "from 1 to 100"),
        (["acme=\u0663"], "from 1 to 100"),
        (["acme=1", "acme=2"], "is there twice"),
    ],
)
def test_weights_that_cannot_be_read(entries, says):
    """The mistake is told with what to write instead."""
    with pytest.raises(ValueError, match=says):
        weights_of(entries)
