"""Faults on purpose: what an upstream that is ill would do, done to calls of one that is well.

It is off unless HOLDFAST_CHAOS says otherwise (`chaos_text.py` has the grammar).
Calls are struck within their attempt, so that retries, breakers, timeouts and
ladders see what they would see of a real illness.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from holdfast.jobs.clock import random_fraction
from holdfast.jobs.errors import InjectedFault, InjectedThrottle

EVERY: Final = "*"
"""At the end of a strategy's upstream: whatever begins so."""
HANG_SECONDS: Final = 60.0
RETRY_AFTER_SECONDS: Final = 1.0


class Harm(StrEnum):
    """What a call comes to that was struck."""

    NONE = "none"
    """It is late, and is made."""
    FAULT = "fault"
    HANG = "hang"
    THROTTLE = "throttle"


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is done to the calls to an upstream. Chances are from 0 to 1, of each call."""

    upstream: str
    """Its name, which means those with a key, too; `*` at the end: all that begin so."""
    fault: float = 0.0
    status: int | None = None
    """The HTTP status that the fault names; 500 to 599."""
    hang: float = 0.0
    hang_seconds: float = HANG_SECONDS
    """A plain function hangs for so long at most, as nothing can stop it; a coroutine until it is stopped."""
    throttle: float = 0.0
    retry_after_seconds: float = RETRY_AFTER_SECONDS
    """What the upstream asks for."""
    latency: float = 0.0
    least_seconds: float = 0.0
    most_seconds: float = 0.0
    """How late a call is; evenly spread."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        chances = (self.fault, self.hang, self.throttle, self.latency)
        if not all(0 <= chance <= 1 for chance in chances):
            raise ValueError("a chance is from 0 to 1")
        if self.fault + self.hang + self.throttle > 1:
            raise ValueError("the chances of fault, hang and throttle come to more than 1")
        if not 0 <= self.least_seconds <= self.most_seconds:
            raise ValueError("a latency begins with its shorter end")

    def __str__(self) -> str:
        """Write it as HOLDFAST_CHAOS has it."""
        status = "" if self.status is None else f";{self.status}"
        says = (
            (self.fault, f"fault={self.fault:g}{status}"),
            (self.latency, f"latency={self.least_seconds:g}..{self.most_seconds:g}s;{self.latency:g}"),
            (self.hang, f"hang={self.hang:g};{self.hang_seconds:g}s"),
            (self.throttle, f"throttle={self.throttle:g};{self.retry_after_seconds:g}s"),
        )
        return f"{self.upstream}:{','.join(text for chance, text in says if chance)}"

    def fits(self, upstream: str) -> bool:
        """Tell whether it means this upstream."""
        if self.upstream.endswith(EVERY):
            return upstream.startswith(self.upstream.removesuffix(EVERY))
        return upstream == self.upstream or upstream.startswith(f"{self.upstream}[")

    def harm(self, chance: float) -> Harm:
        """Choose by a number in [0, 1)."""
        for harm, share in ((Harm.FAULT, self.fault), (Harm.HANG, self.hang), (Harm.THROTTLE, self.throttle)):
            if chance < share:
                return harm
            chance -= share
        return Harm.NONE

    def delay(self, chance: float, spread: float) -> float:
        """Return how late a call is, by two numbers in [0, 1)."""
        if chance >= self.latency:
            return 0.0
        return self.least_seconds + (self.most_seconds - self.least_seconds) * spread


@dataclass(frozen=True, slots=True)
class Strike:
    """What is done to one call, before it is made or in its place."""

    upstream: str
    delay_seconds: float
    harm: Harm
    strategy: Strategy

    def apply(self, seconds_left: float | None = None) -> None:
        """Do it, on this thread; nothing takes longer than the attempt has left, where that is known.

        Raises InjectedFault (also after a hang) or InjectedThrottle.
        """
        _pass(self.delay_seconds, seconds_left)
        if self.harm is Harm.HANG:
            left = None if seconds_left is None else seconds_left - self.delay_seconds
            _pass(self.strategy.hang_seconds, left)
        self._raise()

    async def aapply(self) -> None:
        """Do it on an event loop, where a call that hangs does so until it is cancelled."""
        if self.delay_seconds > 0:
            await asyncio.sleep(self.delay_seconds)
        if self.harm is Harm.HANG:
            await asyncio.Event().wait()
        self._raise()

    def _raise(self) -> None:
        match self.harm:
            case Harm.FAULT | Harm.HANG:
                raise InjectedFault(self.upstream, status_code=self.strategy.status)
            case Harm.THROTTLE:
                raise InjectedThrottle(self.upstream, self.strategy.retry_after_seconds)
            case Harm.NONE:
                return


class Injector:
    """Decides which calls are struck. The first strategy that means an upstream holds."""

    def __init__(
        self, strategies: Sequence[Strategy], *, chance: Callable[[], float] = random_fraction
    ) -> None:
        """Strike by these; `chance` returns numbers in [0, 1)."""
        self.strategies = tuple(strategies)
        self._chance = chance

    def strategy(self, upstream: str) -> Strategy | None:
        """Return what is done to an upstream; None: nothing."""
        return next((strategy for strategy in self.strategies if strategy.fits(upstream)), None)

    def before(self, upstream: str) -> Strike | None:
        """Decide about one call; None: it is left alone."""
        strategy = self.strategy(upstream)
        if strategy is None:
            return None
        delay = strategy.delay(self._chance(), self._chance())
        harm = strategy.harm(self._chance())
        return None if harm is Harm.NONE and delay <= 0 else Strike(upstream, delay, harm, strategy)


def _pass(seconds: float, seconds_left: float | None) -> None:
    wait = seconds if seconds_left is None else min(seconds, seconds_left)
    if wait > 0:
        threading.Event().wait(wait)
