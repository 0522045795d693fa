"""Where attempts begin: the deadline, the breaker and the limits of one upstream, in this order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from holdfast.jobs.errors import DeadlinePassed, RejectedError
from holdfast.jobs.upstream_events import CallRefused, CallStruck
from holdfast.resilience.breaker.breaker import Breaker, Judge, Permit
from holdfast.resilience.breaker.message import Message, ProbeWord
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.chaos import Strike
from holdfast.resilience.errand import CURRENT, Errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.attempt import Attempt
from holdfast.resilience.guard.frame import FRAME, Frame
from holdfast.resilience.guard.layers import Call, Layers, Place

NO_ARGUMENTS: Final[tuple[Any, ...]] = ()
NO_OPTIONS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Entrance:
    """Lets attempts begin."""

    breaker: Breaker
    fleet: Fleet
    layers: Layers
    judge: Judge
    timeout_seconds: float | None
    retries: bool
    """Whoever enters here tries again by itself."""

    @property
    def name(self) -> str:
        """The upstream's."""
        return self.breaker.name

    def of(self, breaker: Breaker) -> "Entrance":
        """Return the same with another breaker."""
        return replace(self, breaker=breaker)

    # For a block or a stream, from where it stands.

    def begin(self) -> Attempt:
        """Begin an attempt. Raises RejectedError."""
        try:
            attempt = self.enter(FRAME.get(), CURRENT.get(), NO_ARGUMENTS, NO_OPTIONS)
        except RejectedError as error:
            self.note(error)
            raise
        try:
            attempt.struck(bool, self.fleet.clock.monotonic())()
        except BaseException as error:
            attempt.fail(error)
            raise
        return attempt

    async def abegin(self) -> Attempt:
        """Do the same on an event loop."""
        try:
            attempt = await self.aenter(FRAME.get(), CURRENT.get(), NO_ARGUMENTS, NO_OPTIONS)
        except RejectedError as error:
            self.note(error)
            raise
        try:
            await attempt.astruck(_nothing)()
        except BaseException as error:
            attempt.fail(error)
            raise
        return attempt

    def frame(self, until: float | None) -> Frame:
        """Return where the code of a block or a stream runs."""
        return self.inside(FRAME.get(), until)

    # For a call.

    def inside(self, around: Frame, until: float | None) -> Frame:
        """Return where the code of an attempt runs."""
        return Frame((*around.names, self.name), around.retries or self.retries, until)

    def enter(
        self, frame: Frame, on: Errand | None, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Attempt:
        """Begin an attempt; within one of the same upstream it is a part of that. Raises RejectedError."""
        if self.name in frame.names:
            return Attempt(None, [], self.judge, frame.until)
        ticket = self._ticket(on)
        if ticket is not None and ticket.probe and not self._is_still_prober(ticket):
            ticket = None
        permit = self._admit(on, ticket)
        places: list[Place] = []
        if self.layers:
            try:
                places = self.layers.enter(self._call(on, arguments, options))
            except BaseException as error:
                permit.end(self.judge(error))
                raise
        if on is not None:
            on.called.add(self.name)
        return Attempt(permit, places, self.judge, self._until(on), self._strike())

    async def aenter(
        self, frame: Frame, on: Errand | None, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Attempt:
        """Do the same on an event loop."""
        if self.name in frame.names:
            return Attempt(None, [], self.judge, frame.until)
        ticket = self._ticket(on)
        if ticket is not None and ticket.probe and not await asyncio.to_thread(self._is_still_prober, ticket):
            ticket = None
        permit = self._admit(on, ticket)
        places: list[Place] = []
        if self.layers:
            try:
                places = await self.layers.aenter(self._call(on, arguments, options))
            except BaseException as error:
                permit.end(self.judge(error))
                raise
        if on is not None:
            on.called.add(self.name)
        return Attempt(permit, places, self.judge, self._until(on), self._strike())

    def note(self, refusal: RejectedError) -> None:
        """Sign a refusal, so that no guard around this one waits for it again, and tell of it."""
        if not refusal.refused_by:
            refusal.refused_by = self.name
            if self.fleet.events.are_read:
                self.fleet.emit(CallRefused(self.name, refusal.code))

    def _admit(self, on: Errand | None, ticket: Ticket | None) -> Permit:
        if on is not None and on.deadline is not None and self.fleet.clock.monotonic() >= on.deadline:
            raise DeadlinePassed(detail=f"no call to {self.name} is begun any more")
        return self.breaker.admit(ticket)

    def _ticket(self, on: Errand | None) -> Ticket | None:
        return None if on is None else on.tickets.pop(self.name, None)

    def _is_still_prober(self, ticket: Ticket) -> bool:
        """Ask whether the probe that a job brought is still its own: it may have waited too long."""
        reporter = self.fleet.reporter
        word = Message(reporter.who, ticket.epoch, probe=ProbeWord.RENEW, token=ticket.probe)
        reply = reporter.exchange(self.name, word, self.breaker.policy)
        return reply is not None and reply.is_prober

    def _strike(self) -> Strike | None:
        chaos = self.fleet.chaos
        strike = None if chaos is None else chaos.before(self.name)
        if strike is not None:
            self.fleet.emit(CallStruck(self.name, strike.harm.value, strike.delay_seconds))
        return strike

    def _call(self, on: Errand | None, arguments: Sequence[Any], options: Mapping[str, Any]) -> Call:
        return Call(self.name, "" if on is None else on.tenant, tuple(arguments), options)

    def _until(self, on: Errand | None) -> float | None:
        own = None if self.timeout_seconds is None else self.fleet.clock.monotonic() + self.timeout_seconds
        deadline = None if on is None else on.deadline
        if own is None or deadline is None:
            return deadline if own is None else own
        return min(own, deadline)


async def _nothing() -> None:
    """Stand for the call of a block, which follows."""
