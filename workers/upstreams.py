"""What a worker asks about the upstreams that its tasks call."""

from typing import Final, Protocol

from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.turnstile import FleetTurnstile


class Upstreams(Protocol):
    """Knows which upstreams take calls, as far as this process has heard."""

    def refusal(self, upstream: str, ticket: Ticket | None) -> RejectedError | None:
        """Return what a call would be refused with now; None if it would be made.

        `ticket` is the right to one call that the job brings along. It is not
        used up by the question. Asked on the event loop: answers from memory.
        """
        ...

    def unused(self, ticket: Ticket) -> None:
        """Take back a ticket that no call has used. May ask a store: never called on the event loop."""
        ...


class FleetUpstreams:
    """Asks the breakers of this process, which share what they know with those of the others."""

    def __init__(self, fleet: Fleet) -> None:
        """Ask these."""
        self._fleet = fleet

    def refusal(self, upstream: str, ticket: Ticket | None) -> RejectedError | None:
        """Ask its breaker, and make one if no guard has."""
        return self._fleet.refusal(upstream, ticket)

    def unused(self, ticket: Ticket) -> None:
        """Give a probe back at once; a permit of a ramp is lost with its second."""
        FleetTurnstile(self._fleet).give_back(ticket.upstream, [str(ticket)])


class _NoUpstreams:
    """For a worker without breakers: nothing is refused, and no ticket is worth anything."""

    def refusal(self, upstream: str, ticket: Ticket | None) -> RejectedError | None:
        """Refuse nothing."""
        del upstream, ticket
        return None

    def unused(self, ticket: Ticket) -> None:
        """Forget it."""
        del ticket


NO_UPSTREAMS: Final[Upstreams] = _NoUpstreams()
