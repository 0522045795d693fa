"""Whether a worker has room, and whom its rings call for.

While there is room for all that comes, a ring calls for the job that it names:
one row by its key. Where more waits than can run, rings would bring jobs in the
order in which they were enqueued, so that the ten jobs of one tenant wait for
the ten thousand of another. There a ring calls for whoever's turn it is, and
the job that it names is called by another's ring.
"""

from collections.abc import Callable, Sequence

from holdfast.jobs.job import Claim, ClaimRequest
from holdfast.workers.tickets import RingTicket


class Room:
    """What a gate knows of its room. For the event loop alone."""

    def __init__(self, on_room: Callable[[bool], object]) -> None:
        """Tell `on_room` when the gate becomes full, and when it has room again."""
        self._on_room = on_room
        self._is_full = False
        self._was_full = False
        self.is_crowded = False
        """It was full a moment ago: more may wait than can run."""

    def tell(self, free: int) -> None:
        """Take how many slots are free now."""
        is_full = free <= 0
        self._was_full |= is_full
        self.is_crowded |= is_full
        if is_full != self._is_full:
            self._is_full = is_full
            self._on_room(not is_full)

    def close(self) -> None:
        """Tell that there is none, whatever is free."""
        self._on_room(False)  # noqa: FBT003 -- the one meaning of the callback

    def look(self) -> None:
        """Take it that there is no crowd if it has not been full since the last look."""
        self.is_crowded, self._was_full = self._is_full or self._was_full, False

    def requests(self, tickets: Sequence[RingTicket]) -> list[ClaimRequest]:
        """Return what is claimed for rings: the jobs that they name or, in a crowd, whose turn it is."""
        return [ClaimRequest(ticket.token, None if self.is_crowded else ticket.job_id) for ticket in tickets]

    def unanswered(
        self, requests: Sequence[ClaimRequest], tickets: Sequence[RingTicket], claims: Sequence[Claim]
    ) -> list[RingTicket]:
        """Return the rings that called for anybody while nobody was left: each calls once more, by name."""
        open_calls = {request.token for request in requests if request.job_id is None}
        open_calls -= {claim.lease.token for claim in claims}
        again = [ticket for ticket in tickets if ticket.token in open_calls]
        if again:
            self.is_crowded = False
        return again
