"""How the tickets for one upstream are shared: by priority, then in turn over the tenants."""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass


@dataclass(slots=True)
class Queueing:
    """Jobs of one priority and tenant that wait, oldest first."""

    priority: int
    tenant: str | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many of them may go."""

    group: Queueing
    count: int


def shares_of(groups: Iterable[Queueing], count: int, turns: MutableMapping[int, str]) -> list[Share]:
    """Share `count` tickets out: the lowest priority number first, and within it one tenant after another.

    `turns` keeps by priority which tenant was served last, so that the next
    share begins behind it: also where there is one ticket at a time, each
    tenant has its turn. A tenant with ten jobs waits for ten rounds, whatever
    stands in the lines of the others.
    """
    by_priority: dict[int, list[Queueing]] = {}
    for group in groups:
        if group.waiting > 0:
            by_priority.setdefault(group.priority, []).append(group)
    shares: list[Share] = []
    for priority in sorted(by_priority):
        if count <= 0:
            break
        line = _in_turn(by_priority[priority], turns.get(priority))
        counts, last = _rounds([group.waiting for group in line], count)
        shares += [Share(group, each) for group, each in zip(line, counts, strict=True) if each]
        turns[priority] = _name(line[last])
        count -= sum(counts)
    return shares


def _in_turn(groups: list[Queueing], last: str | None) -> list[Queueing]:
    """Order the tenants, beginning behind the one that was served last."""
    ordered = sorted(groups, key=_name)
    if last is None:
        return ordered
    return [g for g in ordered if _name(g) > last] + [g for g in ordered if _name(g) <= last]


def _rounds(waiting: list[int], count: int) -> tuple[list[int], int]:
    """Give one to each in each round, until nothing is left or nobody waits; say who got the last one."""
    given, last = [0] * len(waiting), 0
    while count > 0:
        line = [place for place, most in enumerate(waiting) if given[place] < most][:count]
        if not line:
            break
        # As many rounds at once as all of them can take.
        rounds = max(min(*(waiting[place] - given[place] for place in line), count // len(line)), 1)
        for place in line:
            given[place] += rounds
        count -= rounds * len(line)
        last = line[-1]
    return given, last


def _name(group: Queueing) -> str:
    return group.tenant or ""
