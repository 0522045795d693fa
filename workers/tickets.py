"""A ring that came in and waits for a slot."""

from collections.abc import Callable
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
