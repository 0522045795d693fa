"""What this process knows of a circuit that others change: the last word of the store, and when it came."""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Final

from holdfast.resilience.breaker.circuit import Override, Phase
from holdfast.resilience.breaker.message import Reply

_MILLI: Final = 1000.0


@dataclass(frozen=True, slots=True)
class View:
    """A reply, with its times on this process's monotonic clock: wall clocks are never compared."""

    phase: Phase = Phase.CLOSED
    epoch: int = 0
    override: Override = Override.NONE
    reason: str = ""
    closed_until: float = 0.0
    not_before: float = 0.0
    next_permit: float = 0.0
    rate: float = 0.0
    """Calls a second that a ramp allows the fleet."""
    overridden_until: float = 0.0
    """How long the override is known to hold; for ever, where no end was told."""

    @classmethod
    def of(cls, reply: Reply, at: float) -> "View":
        """Note a reply that came at monotonic `at`."""
        ends = reply.override is Override.ISOLATED and reply.closed_for > 0
        return cls(
            phase=reply.phase,
            epoch=reply.epoch,
            override=reply.override,
            reason=reply.reason,
            closed_until=at + reply.closed_for / _MILLI,
            not_before=at + reply.not_before / _MILLI if reply.not_before else 0.0,
            next_permit=at + reply.next_permit / _MILLI,
            rate=reply.rate / _MILLI,
            # Of an isolation the reply tells the end, if it has one; of other overrides none.
            overridden_until=at + reply.closed_for / _MILLI if ends else inf,
        )

    def passes_all(self, now: float) -> bool:
        """Tell whether every call passes, with no question asked."""
        if self.override is not Override.NONE:
            return self.override is Override.DISABLED
        return self.phase is Phase.CLOSED and now >= self.not_before

    def open_for(self, now: float) -> float:
        """Return the seconds for which no call passes, as another store is to hear it.

        What was open and is over its time still has to be probed: it is never 0.
        """
        is_open = self.phase in {Phase.OPEN, Phase.HALF_OPEN} and self.override is Override.NONE
        return max(self.closed_until - now, 1 / _MILLI) if is_open else 0.0

    def overlay(self, reply: Reply, now: float) -> Reply:
        """Lay an operator's order over the reply of a store that has not heard of it.

        An order outlives the loss of the shared store: what was isolated is not called because nobody
        can be asked. One whose end was told holds until then.
        """
        if self.override is Override.NONE or now >= self.overridden_until:
            return reply
        left = 0 if self.overridden_until == inf else ceil((self.overridden_until - now) * _MILLI)
        return replace(reply, override=self.override, reason=self.reason, closed_for=left)
