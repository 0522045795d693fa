"""One execution that is going on in this process."""

from collections.abc import Callable
from enum import StrEnum

from holdfast.jobs.job import Claim, Settled
from holdfast.jobs.lease import Lease
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.errand import Errand


class Interrupt(StrEnum):
    """Why a running handler is cancelled from outside."""

    CANCEL = "cancel"
    DRAIN = "drain"
    LEASE_LOST = "lease_lost"
    SOFT_TIMEOUT = "soft_timeout"


class RunningAttempt:
    """The handle on a running handler: who holds the lease, and how to interrupt it.

    Lives on the event loop; `interrupt` must be called there.
    """

    def __init__(self, claim: Claim, started_at: float) -> None:
        """Start for a claim; `started_at` is monotonic seconds."""
        self.claim = claim
        self.started_at = started_at
        ticket = Ticket.of(claim.job.ticket)
        tickets = {} if ticket is None else {ticket.upstream: ticket}
        self.errand = Errand(tenant=claim.job.tenant or "", tickets=tickets)
        """What its handler's calls are made with; who uses a ticket takes it out."""
        self.interrupted: Interrupt | None = None
        self.looks_since_cancel = 0
        """How often the lease keeper has found it running after it had cancelled it."""
        self.is_settling = False
        """The outcome is on its way to the ledger: too late to interrupt."""
        self.settled: Settled | None = None
        """Set when the handler completed the job inside its own transaction."""
        self.is_completing = False
        """Its own transaction is about to complete it; what came of that is not noted yet."""
        self.is_abandoned = False
        """Did not end at its hard limit: keeps its lease until the process is gone (B17)."""
        self._cancel: Callable[[], object] | None = None

    @property
    def lease(self) -> Lease:
        """The lease that this attempt holds."""
        return self.claim.lease

    def watch(self, cancel: Callable[[], object]) -> None:
        """Take what cancels the handler; an interrupt that came early is carried out now."""
        self._cancel = cancel
        if self.interrupted is not None:
            cancel()

    def interrupt(self, why: Interrupt) -> None:
        """Cancel the handler; the first reason stays, but a lost lease overrules it."""
        if self.is_settling:
            return
        if self.interrupted is None or why is Interrupt.LEASE_LOST:
            self.interrupted = why
        if self._cancel is not None:
            self._cancel()
