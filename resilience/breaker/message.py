"""What a process says about an upstream, and what it hears."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.resilience.breaker.circuit import Override, Phase, Turn


class ProbeWord(StrEnum):
    """What is said of a probe."""

    NOTHING = ""
    ASK = "ask"
    """May I make the one call that tells whether the upstream is back?"""
    RENEW = "renew"
    WON = "won"
    LOST = "lost"
    DROPPED = "dropped"
    """Cancelled, or never made: no verdict."""


class Order(StrEnum):
    """What an operator orders."""

    NOTHING = ""
    ISOLATE = "isolate"
    DISABLE = "disable"
    SHADOW = "shadow"
    RELEASE = "release"
    """Lift the override; the phase decides again."""
    CLOSE = "close"
    """Lift the override, and let all calls pass."""


@dataclass(frozen=True, slots=True)
class Message:
    """One exchange with the store. All numbers are whole; times are milliseconds."""

    who: str
    """The process, by a name of its own."""
    epoch: int
    """Of the counted calls: another than the circuit's counts nothing. 0: nothing was heard yet."""
    ok: int = 0
    failed: int = 0
    pushed: int = 0
    slow: int = 0
    overdue: int = 0
    tail: int = 0
    """Failures since the last success among the counted."""
    ok_age: int = 0
    """How long ago the last of the counted successes began."""
    tail_age: int = 0
    """How long ago the first call of the tail began."""
    retry_after: int = 0
    """The longest wait that the upstream asked for."""
    fatal: str = ""
    """A fault that no retry mends, in words; empty: none."""
    probe: ProbeWord = ProbeWord.NOTHING
    token: str = ""
    """The prober's own, for all that it says of its probe."""
    probe_took: int = 0
    wants: int = 0
    """How many calls wait for a permit of the ramp."""
    backlog: bool = False
    """Jobs are parked for this upstream."""
    known_epoch: int = 0
    """The highest epoch that was ever heard: a store that knows less has forgotten."""
    known_open: int = 0
    """How long it was still to be open then."""
    order: Order = Order.NOTHING
    order_for: int = 0
    """How long the order holds; 0: until another one."""
    order_reason: str = ""
    order_actor: str = ""
    chance: int = 0
    """A random number from 0 to 999, which spreads the waits."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is true now. Times are milliseconds from now, so that no clocks are compared."""

    phase: Phase
    epoch: int
    override: Override
    reason: str
    closed_for: int
    """No call passes before; 0: calls may pass, or a probe may be asked for."""
    not_before: int
    """The upstream asked for no call before."""
    is_prober: bool
    """The sender has the probe."""
    permits: int
    """Calls of the ramp that the sender may make."""
    next_permit: int
    """When there may be another one."""
    rate: int
    """Calls in a thousand seconds that the ramp allows the fleet."""
    turns: tuple[Turn, ...]
    """What this exchange turned."""
    is_overridden: bool
    """This exchange set or lifted an override."""
