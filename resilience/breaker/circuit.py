"""The state that a fleet shares about one upstream, and the names of every way between its phases.

    CLOSED ──opened──> OPEN ──probing──> HALF_OPEN ──recovering──> RAMP ──recovered──> CLOSED
                        ^                    │                       │
                        └──────relapsed──────┴───────fell_back───────┘

An operator's override lies above the phase: ISOLATED refuses, DISABLED lets
all pass uncounted, SHADOW lets all pass and only says what it would refuse.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    """All do."""
    OPEN = "open"
    """None does."""
    HALF_OPEN = "half_open"
    """One of the whole fleet does, under a lease."""
    RAMP = "ramp"
    """As many a second as the fleet's rate allows."""


class Override(StrEnum):
    """What an operator decided, whatever the phase."""

    NONE = ""
    ISOLATED = "isolated"
    DISABLED = "disabled"
    SHADOW = "shadow"


class Turn(StrEnum):
    """A way from one phase to another. There is no other one."""

    OPENED = "opened"
    PROBING = "probing"
    RECOVERING = "recovering"
    RELAPSED = "relapsed"
    FELL_BACK = "fell_back"
    RECOVERED = "recovered"
    FORCED = "forced"
    """An operator closed it."""
    REMEMBERED = "remembered"
    """The store had lost that it was open, and a process told it."""


TURNS: Final[dict[Turn, tuple[frozenset[Phase], Phase]]] = {
    Turn.OPENED: (frozenset({Phase.CLOSED}), Phase.OPEN),
    Turn.PROBING: (frozenset({Phase.OPEN}), Phase.HALF_OPEN),
    Turn.RECOVERING: (frozenset({Phase.HALF_OPEN}), Phase.RAMP),
    Turn.RELAPSED: (frozenset({Phase.HALF_OPEN}), Phase.OPEN),
    Turn.FELL_BACK: (frozenset({Phase.RAMP}), Phase.OPEN),
    Turn.RECOVERED: (frozenset({Phase.RAMP}), Phase.CLOSED),
    Turn.FORCED: (frozenset(Phase), Phase.CLOSED),
    Turn.REMEMBERED: (frozenset({Phase.CLOSED}), Phase.OPEN),
}


@dataclass(slots=True)
class Slot:
    """What was counted in one part of the window."""

    stamp: int
    """Which part: the time divided by its length."""
    ok: int = 0
    failed: int = 0
    pushed: int = 0
    """Push-back: the upstream is well and wants fewer calls."""
    slow: int = 0
    """Calls that became slow, when they did."""
    overdue: int = 0
    """Of these, those that had not ended; less those that ended since."""


@dataclass(slots=True)
class Circuit:
    """Everything that is known of one upstream. Times are milliseconds of the store's clock, 0 is never.

    Only `machine.exchange` changes it. All numbers are whole, so that a script
    in the store computes the very same.
    """

    phase: Phase = Phase.CLOSED
    epoch: int = 1
    """Counts changes of phase and override: what began in an earlier one is counted in no later one."""
    turned_at: int = 0
    reason: str = ""
    """Why it turned last."""
    trips: int = 0
    """Openings in a row: each doubles the wait."""
    forgiven_at: int = 0
    until: int = 0
    """No probe before."""
    not_before: int = 0
    """The upstream asked for no call before."""

    slots: list[Slot] = field(default_factory=list[Slot])
    recent: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """The last outcomes: when, and 1 for a failure."""
    streak: int = 0
    streak_since: int = 0
    """When its first call began: a success that began before says nothing against it."""
    streak_by: str = ""
    """Who reported its first failure."""
    is_streak_shared: bool = False
    heard: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """The last two processes that reported, and when."""
    failers: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """The last two that reported a failure."""
    normal_rate: int = 0
    """Successes in a thousand seconds, when all was well: the best part of the window before the trouble."""

    probe_owner: str = ""
    probe_until: int = 0
    probe_began: int = 0
    probe_wins: int = 0

    rate: int = 0
    """Calls in a thousand seconds that the ramp allows the fleet."""
    grown_at: int = 0
    cut_at: int = 0
    taken: int = 0
    """Permits since it grew last: a rate that nobody uses proves nothing."""
    next_permit: int = 0
    """Microseconds after `turned_at`: the theoretical arrival time of the generic cell rate algorithm."""
    has_failed: bool = False
    well_since: int = 0
    backlog_until: int = 0
    """Somebody said that jobs are parked, and it counts until then."""

    override: Override = Override.NONE
    override_until: int = 0
    override_reason: str = ""
    override_actor: str = ""
