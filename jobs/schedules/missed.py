"""Ticks that are due, and what becomes of those whose time has passed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from holdfast.jobs.schedules.rule import Rule

LATE: Final = timedelta(seconds=60)
"""A tick that is no later is on time, for `skip`: as long as another leader may need to be found."""


class Missed(StrEnum):
    """What becomes of ticks that passed while nobody was there to fire them."""

    SKIP = "skip"
    """They are left out: the last one fires if it is no later than a minute."""
    ONE = "one"
    """The last one fires, however late; those before it are left out."""
    ALL = "all"
    """Each of them fires."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to happen to a schedule now."""

    ticks: tuple[datetime, ...]
    """They fire, oldest first."""
    next_tick: datetime
    """Already past if there are more than were asked for."""
    left_out_since: datetime | None = None
    """The first tick that does not fire; None if all of them do."""


def due(rule: Rule, next_tick: datetime, *, now: datetime, missed: Missed, most: int) -> Due:
    """Tell which ticks from `next_tick` on fire now, at most so many, and which one comes then."""
    if next_tick > now:
        return Due((), next_tick)
    if missed is Missed.ALL:
        return _all(rule, next_tick, now, most)
    following = rule.next_after(next_tick)
    # Nearly always there is one tick, and the rule is not asked for more.
    last = next_tick if following > now else rule.last_until(now, next_tick)
    following = following if following > now else rule.next_after(now)
    if missed is Missed.SKIP and now - last > LATE:
        return Due((), following, left_out_since=next_tick)
    return Due((last,), following, left_out_since=None if last == next_tick else next_tick)


def _all(rule: Rule, next_tick: datetime, now: datetime, most: int) -> Due:
    ticks: list[datetime] = []
    while next_tick <= now and len(ticks) < most:
        ticks.append(next_tick)
        next_tick = rule.next_after(next_tick)
    return Due(tuple(ticks), next_tick)
