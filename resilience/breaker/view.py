"""What this process knows of a circuit that others change: the last word of the store, and when it came."""

from dataclasses import dataclass
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

    @classmethod
    def of(cls, reply: Reply, at: float) -> "View":
        """Note a reply that came at monotonic `at`."""
        return cls(
            phase=reply.phase,
            epoch=reply.epoch,
            override=reply.override,
            reason=reply.reason,
            closed_until=at + reply.closed_for / _MILLI,
            not_before=at + reply.not_before / _MILLI if reply.not_before else 0.0,
            next_permit=at + reply.next_permit / _MILLI,
            rate=reply.rate / _MILLI,
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
