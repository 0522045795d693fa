"""A ring that came in and waits for a slot."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from holdfast.jobs.ids import JobId, LeaseToken, new_lease_token

Hook = Callable[[], object]


@dataclass(slots=True, eq=False)
class RingTicket:
    """A ring: `ack` lets the broker forget it, `requeue` gives it back.

    Both may be called from any thread: they are handed to the hub. The lease
    token is made with the ticket, so that a claim whose answer was lost is
    repeated under the same token (B2).
    """

    job_id: JobId
    received_at: float
    """Monotonic seconds."""
    ack: Hook = field(repr=False)
    requeue: Hook = field(repr=False)
    task: str = ""
    token: LeaseToken = field(default_factory=new_lease_token, repr=False)


class WaitingRings:
    """Rings that came in and wait for a slot, in order. `offer` is for any thread, the rest for the loop."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._incoming: deque[RingTicket] = deque()
        self._line: deque[RingTicket] = deque()

    def __len__(self) -> int:
        return len(self._line) + len(self._incoming)

    def offer(self, ticket: RingTicket) -> None:
        """Take a ring from any thread."""
        self._incoming.append(ticket)

    def line_up(self) -> bool:
        """Let those that came in wait in line; tell whether there were any."""
        count = len(self._incoming)
        self._line.extend(self._incoming.popleft() for _ in range(count))
        return count > 0

    def next(self) -> RingTicket | None:
        """Take the first one; None if nothing waits."""
        return self._line.popleft() if self._line else None

    def put_back(self, tickets: Sequence[RingTicket]) -> None:
        """Let these be the first again, in their order."""
        self._line.extendleft(reversed(tickets))

    def requeue(self, matches: Callable[[RingTicket], bool] = lambda _: True) -> None:
        """Give back to the broker what matches."""
        line, self._line = self._line, deque[RingTicket]()
        for ticket in line:
            if matches(ticket):
                ticket.requeue()
            else:
                self._line.append(ticket)

    def forget(self, received_before: float) -> None:
        """Drop the rings of a connection that is lost: nobody can acknowledge them."""
        self.line_up()
        self._line = deque(ticket for ticket in self._line if ticket.received_at >= received_before)

    def take_stale(self, received_before: float) -> list[RingTicket]:
        """Take those that came before this monotonic second."""
        stale: list[RingTicket] = []
        while self._line and self._line[0].received_at <= received_before:
            stale.append(self._line.popleft())
        return stale
