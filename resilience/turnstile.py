"""Who may go now, of the jobs that wait for an upstream: the releaser asks, the breaker's store answers.

While the breaker is open, one job in the whole fleet is let through as its
probe; during the ramp, as many as its rate allows, each with a permit that was
charged here; when it is closed, all, though not all at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.jobs.clock import random_fraction
from holdfast.resilience.breaker.breaker import new_token
from holdfast.resilience.breaker.circuit import Override, Phase
from holdfast.resilience.breaker.message import Message, ProbeWord, Reply
from holdfast.resilience.breaker.store import MOST_CIRCUITS
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.fleet import DEFAULT_POLICY, Fleet
from holdfast.resilience.release import Release

MOST_AT_ONCE: Final = 200
SOON_SECONDS: Final = 0.1
"""Until the next question during a ramp, and while probes are made."""
LATER_SECONDS: Final = 5.0
"""Until the next question where nothing is known to change before."""
DRAIN_RATE: Final = 10.0
"""Jobs a second that are let go where a breaker is closed, at first: they wait together for a reason."""
BLIND_RATE: Final = 0.2
"""The same where the store is lost: this process does not know what the others do."""
SLOWEST_RATE: Final = 1.0 / 30.0
"""Where those that went came back: each try costs one of a thousand claims."""
FORGOTTEN_SECONDS: Final = 60.0
"""Nobody waited for so long: the next ones wait for another reason."""
DRAIN_GROWTH: Final = 1.5
"""A second's rate of the one before."""
_MILLI: Final = 1000.0
_ROUNDING: Final = 1e-6


@dataclass(slots=True)
class _Drain:
    """Of an upstream whose breaker is closed, or unknown: how fast its waiting jobs go."""

    rate: float
    set_at: float
    """When the rate was set."""
    ahead: float
    """Jobs that may go beyond what the rate allows: at first one, at once."""
    gone: int = 0
    """Jobs that went since the rate was set."""
    waiting: int = 0
    """How many waited then."""
    asked_at: float = 0.0

    def allow(self, waiting: int, now: float) -> int:
        """Return how many may go now; the rate grows while they grow fewer."""
        if now - self.set_at >= 1.0 and self.gone:
            # Who was let go and came back is no proof of an upstream that is well.
            comes_back = waiting >= self.waiting
            self.rate = SLOWEST_RATE if comes_back else self.rate * DRAIN_GROWTH
            self.set_at, self.ahead, self.gone, self.waiting = now, 0.0, 0, waiting
        allowed = int((now - self.set_at) * self.rate + self.ahead + _ROUNDING) - self.gone
        count = max(min(allowed, waiting, MOST_AT_ONCE), 0)
        self.gone += count
        return count


class FleetTurnstile:
    """Answers for all upstreams; for any threads, but no two about one upstream at one time."""

    def __init__(self, fleet: Fleet) -> None:
        """Ask what this process shares with the others."""
        self._fleet = fleet
        self._drains: dict[str, _Drain] = {}

    def ask(self, upstream: str, waiting: int) -> Release:
        """Say how many of so many waiting jobs may go now. Raises nothing; may block for a quarter second."""
        token = new_token()
        message = Message(
            who=self._fleet.reporter.who,
            epoch=0,
            backlog=waiting > 0,
            wants=min(waiting, MOST_AT_ONCE),
            probe=ProbeWord.ASK if waiting > 0 else ProbeWord.NOTHING,
            token=token,
            chance=int(random_fraction() * _MILLI),
        )
        breaker = self._fleet.known(upstream)
        policy = DEFAULT_POLICY if breaker is None else breaker.policy
        reply = self._fleet.reporter.exchange(upstream, message, policy)
        if reply is None:
            # What was heard last holds until its time: then somebody has to find out.
            wait = 0.0 if breaker is None else breaker.view.closed_until - self._fleet.clock.monotonic()
            if breaker is not None and wait > 0 and breaker.refusal() is not None:
                return Release((), min(wait, LATER_SECONDS))
            return self._drain(upstream, waiting, BLIND_RATE)
        return self._answer(upstream, reply, token, waiting)

    def give_back(self, upstream: str, tickets: Sequence[str]) -> None:
        """Return rights that no job took: another one may have the probe at once. Raises nothing."""
        breaker = self._fleet.known(upstream)
        policy = DEFAULT_POLICY if breaker is None else breaker.policy
        for ticket in (Ticket.of(text) for text in tickets):
            if ticket is not None and ticket.probe:
                who = self._fleet.reporter.who
                message = Message(who, ticket.epoch, probe=ProbeWord.DROPPED, token=ticket.probe)
                self._fleet.reporter.exchange(upstream, message, policy)

    def _answer(self, upstream: str, reply: Reply, token: str, waiting: int) -> Release:
        wait = max(reply.closed_for, reply.not_before) / _MILLI
        if reply.override is Override.ISOLATED:
            return Release((), next_in_seconds=min(max(wait, SOON_SECONDS), LATER_SECONDS))
        if reply.override is not Override.NONE:
            return self._drain(upstream, waiting, DRAIN_RATE)
        match reply.phase:
            case Phase.CLOSED if wait <= 0:
                return self._drain(upstream, waiting, DRAIN_RATE)
            case Phase.RAMP:
                ramp = str(Ticket(upstream, reply.epoch))
                self._drains.pop(upstream, None)
                return Release((ramp,) * reply.permits, SOON_SECONDS)
            case Phase.HALF_OPEN if reply.is_prober:
                return Release((str(Ticket(upstream, reply.epoch, token)),), SOON_SECONDS)
            case Phase.HALF_OPEN:
                return Release((), next_in_seconds=SOON_SECONDS)
            case _:
                self._drains.pop(upstream, None)
                return Release((), next_in_seconds=min(max(wait, SOON_SECONDS), LATER_SECONDS))

    def _drain(self, upstream: str, waiting: int, first_rate: float) -> Release:
        now = self._fleet.clock.monotonic()
        drain = self._drains.get(upstream)
        if drain is None or now - drain.asked_at > FORGOTTEN_SECONDS:
            if len(self._drains) >= MOST_CIRCUITS:
                self._drains.clear()
            drain = self._drains[upstream] = _Drain(first_rate, now, 1.0, waiting=waiting)
        drain.asked_at = now
        count = drain.allow(waiting, now)
        return Release((None,) * count, SOON_SECONDS if drain.rate > BLIND_RATE else LATER_SECONDS)
