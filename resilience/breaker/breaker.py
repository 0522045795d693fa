"""A breaker in one process: it lets calls pass or refuses them, and never waits for the store.

The hot path, which stands in `guard.py`, reads one attribute and leaves two
marks in the present era. A reporter, on a thread of its own, tells the store what came of the calls and
brings back what is true for the fleet.
"""

import itertools
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import monotonic
from typing import Any, Final, ParamSpec, TypeVar

from holdfast.jobs.errors import BreakerOpen, RateLimited
from holdfast.resilience.breaker.circuit import Override, Phase
from holdfast.resilience.breaker.era import Era
from holdfast.resilience.breaker.machine import NEWCOMER
from holdfast.resilience.breaker.message import ProbeWord, Reply
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.breaker.verdict import SUCCESS, Ending, Verdict
from holdfast.resilience.breaker.view import View

P = ParamSpec("P")
T = TypeVar("T")

ASK_AGAIN_SECONDS: Final = 0.05
"""When a caller may come again that was refused while a probe or a permit is asked for."""
Judge = Callable[[BaseException], Verdict]


class Permit:
    """One call that may be made. Exactly one of its endings is told; without one it is neutral."""

    __slots__ = ("_breaker", "_call", "_era", "_is_over", "_probe", "began")

    def __init__(self, breaker: "Breaker", era: Era | None, probe: str = "") -> None:
        """Begin the call; without an era it is not counted, with `probe` it is the fleet's one probe."""
        self._breaker = breaker
        self._era = era
        self._probe = probe
        self._is_over = False
        self._call = -1
        self.began = breaker.now()
        if era is not None:
            self._call = next(breaker.calls)
            era.flights[self._call] = self.began

    def has_begun_to_answer(self) -> None:
        """Tell that a stream's first item came: however long the rest takes, the call is not slow."""
        if self._era is not None:
            self._era.flights.pop(self._call, None)

    def end(self, verdict: Verdict) -> None:
        """Tell how the call ended; what is told a second time is ignored."""
        if self._is_over:
            return
        self._is_over = True
        if self._era is not None:
            self._era.flights.pop(self._call, None)
            self._breaker.count(self._era, verdict, self.began)
        if self._probe:
            self._breaker.end_probe(self._probe, verdict, self._breaker.now() - self.began)


class Breaker:
    """Guards the calls of this process to one upstream. All methods may be called from any thread."""

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy,
        *,
        judge: Judge,
        wake: Callable[[], object],
        begin: Callable[[], object] = bool,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Guard an upstream by this name; `judge` says what an exception means, `wake` hurries the reporter.

        `begin` is called before the first call, also of a forked child: who reports may not run yet.
        `now` returns monotonic seconds.
        """
        self.name = name
        self.policy = policy
        self.now = now
        self.era = Era(NEWCOMER, passes=False)
        self.view = View()
        self.calls = itertools.count()
        """What each call takes its number from."""
        self._has_begun = False
        self._is_struck = False
        self._begin = begin
        self.wants = 0
        """Calls that were refused for want of a permit since the last report."""
        self.is_probe_wanted = False
        self.would_refuse = 0
        """Calls that SHADOW let through."""
        self.words: deque[tuple[ProbeWord, str, float]] = deque()
        """What is to be told of probes: the word, the token, and how long the probe took."""
        self.probe_under_way = ""
        self.stand_in: Any = None
        """The guard that was made for whoever named this upstream where nobody had declared one."""
        self._judge = judge
        self._wake = wake
        self._probes: deque[str] = deque()
        self._permits: deque[float] = deque()

    # The calls.

    def call(self, function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
        """Make a call. Raises BreakerOpen or RateLimited if it was not made, else what it raises."""
        return self.call_with(self.admit(), function, *arguments, **options)

    async def acall(
        self, function: Callable[P, Awaitable[T]], /, *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Do the same for a coroutine function."""
        return await self.acall_with(self.admit(), function, *arguments, **options)

    def admit(self, ticket: Ticket | None = None) -> Permit:
        """Let one call pass, whose end its permit is told. Raises BreakerOpen or RateLimited.

        A `ticket` is a right to this call that was taken beforehand. Whether the fleet's probe is still
        its own is for the caller to ask before.
        """
        self.begin()
        if ticket is not None and ticket.epoch > self.view.epoch:
            self._catch_up(ticket)
        era, view, now = self.era, self.view, self.now()
        if era.passes or view.passes_all(now):
            return Permit(self, era)
        if view.override is Override.DISABLED:
            return Permit(self, None)
        if view.override is Override.ISOLATED:
            raise self._refusal(view.closed_until - now if view.closed_until > now else None)
        if ticket is not None and ticket.epoch == view.epoch:
            if ticket.probe:
                self.probe_under_way = ticket.probe
            return Permit(self, None if ticket.probe else era, ticket.probe)
        refusal = self._decide(era, view, now)
        if isinstance(refusal, Permit):
            return refusal
        if view.override is Override.SHADOW:
            self.would_refuse += 1
            return Permit(self, None)
        raise refusal

    def refusal(self) -> BreakerOpen | RateLimited | None:
        """Say why a call would not pass now; None if it would, or might. Takes and counts nothing."""
        view, now = self.view, self.now()
        if self.era.passes or view.passes_all(now) or view.override in {Override.DISABLED, Override.SHADOW}:
            return None
        if view.override is Override.NONE and now < view.not_before:
            return self._not_before(view, now)
        is_shut = view.override is Override.ISOLATED or view.phase is not Phase.CLOSED
        return self._refusal(max(view.closed_until - now, ASK_AGAIN_SECONDS)) if is_shut else None

    def may_try(self) -> bool:
        """Tell whether a call that asks may get a probe or a permit: the time is over, and nobody forbids."""
        view, now = self.view, self.now()
        return view.override is Override.NONE and now >= max(view.closed_until, view.not_before)

    def forget(self) -> None:
        """Begin anew in a forked child: its parent counts, probes and reports for itself."""
        self._has_begun = False
        self.era = Era(self.view.epoch, passes=False)
        self._probes.clear()
        self._permits.clear()
        self.words.clear()
        self.probe_under_way = ""
        self.wants, self.is_probe_wanted = 0, False

    def strike(self, is_struck: bool) -> None:  # noqa: FBT001 -- the one meaning of the call
        """Send every call the long way, where chaos may strike it, or no call any more."""
        self._is_struck = is_struck
        if self._has_begun:
            self.era.passes = self._passes(self.now())

    def begin(self) -> None:
        """Have it reported for from now on; the first call does the same."""
        if not self._has_begun:
            self._start()

    def _start(self) -> None:
        self._has_begun = True
        self._begin()
        self.era.passes = self._passes(self.now())

    def _passes(self, now: float) -> bool:
        # Calls that chaos may strike go the long way, where somebody looks.
        return self.view.passes_all(now) and not self._is_struck

    def _catch_up(self, ticket: Ticket) -> None:
        # Whoever took the ticket heard of a turn that we have not heard of: it was of a ramp, or a probe.
        phase = Phase.HALF_OPEN if ticket.probe else Phase.RAMP
        self.view = replace(
            self.view, phase=phase, epoch=ticket.epoch, override=Override.NONE, not_before=0.0
        )
        self.era = Era(ticket.epoch, passes=False)
        self._wake()

    def _decide(self, era: Era, view: View, now: float) -> "Permit | BreakerOpen | RateLimited":
        if now < view.not_before:
            return self._not_before(view, now)
        match view.phase:
            case Phase.OPEN | Phase.HALF_OPEN:
                return self._try_to_probe(view, now)
            case Phase.RAMP:
                return self._take_permit(era, view, now)
            case _:
                return Permit(self, era)

    def _try_to_probe(self, view: View, now: float) -> "Permit | BreakerOpen":
        try:
            token = self._probes.popleft()
        except IndexError:
            pass
        else:
            self.probe_under_way = token
            return Permit(self, None, token)
        if now < view.closed_until:
            return self._refusal(view.closed_until - now)
        # The store is asked on the reporter's thread; whoever comes next may have it.
        self.is_probe_wanted = True
        self._wake()
        return self._refusal(ASK_AGAIN_SECONDS)

    def _take_permit(self, era: Era, view: View, now: float) -> "Permit | BreakerOpen":
        while self._permits:
            try:
                if self._permits.popleft() > now:
                    return Permit(self, era)
            except IndexError:
                break
        self.wants += 1
        self._wake()
        return self._refusal(max(view.next_permit - now, ASK_AGAIN_SECONDS))

    def _not_before(self, view: View, now: float) -> RateLimited:
        wait = view.not_before - now
        detail = f"{self.name} asked for no call for {wait:.1f} s"
        return RateLimited(upstream=self.name, retry_after_seconds=wait, detail=detail)

    def _refusal(self, wait: float | None) -> BreakerOpen:
        view = self.view
        state = view.override or view.phase
        return BreakerOpen(
            upstream=self.name, retry_after_seconds=wait, detail=f"{self.name} is {state}: {view.reason}"
        )

    def call_with(
        self, permit: Permit, function: Callable[P, T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Make a call that was let pass before."""
        try:
            result = function(*arguments, **options)
        except BaseException as error:
            permit.end(self._judge(error))
            raise
        permit.end(SUCCESS)
        return result

    async def acall_with(
        self, permit: Permit, function: Callable[P, Awaitable[T]], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Do the same for a coroutine function."""
        try:
            result = await function(*arguments, **options)
        except BaseException as error:
            permit.end(self._judge(error))
            raise
        permit.end(SUCCESS)
        return result

    # What permits tell.

    @property
    def has_news(self) -> bool:
        """Tell whether the reporter has anything to do with it; false for an idle one that is closed."""
        era = self.era
        counted = era.outcomes or era.flights or era.pushes or era.fatal or era.has_overdue
        return bool(counted or self.words or self.wants or self.is_probe_wanted or not era.passes)

    def count(self, era: Era, verdict: Verdict, began: float) -> None:
        """Note how a call of an era ended, and when it had begun."""
        match verdict.ending:
            case Ending.OK:
                era.outcomes.append(began)
                return
            case Ending.FAILED:
                era.outcomes.append(-began)
            case Ending.PUSHED:
                era.pushes.append(int(verdict.retry_after_seconds * 1000))
            case Ending.FATAL:
                era.fatal = verdict.why or "a fault that no retry mends"
            case Ending.NEUTRAL:
                return
        self._wake()

    def end_probe(self, token: str, verdict: Verdict, took: float) -> None:
        """Note what a probe came to."""
        self.probe_under_way = ""
        words = {Ending.OK: ProbeWord.WON, Ending.NEUTRAL: ProbeWord.DROPPED}
        self.words.append((words.get(verdict.ending, ProbeWord.LOST), token, took))
        if verdict.ending is Ending.PUSHED:
            self.era.pushes.append(int(verdict.retry_after_seconds * 1000))
        self._wake()

    # What the reporter brings.

    def learn(self, reply: Reply, at: float) -> bool:
        """Take what is true now; returns whether the view changed its phase, override or epoch."""
        view, before = View.of(reply, at), self.view
        self.view = view
        passes = self._passes(at)
        if self.era.epoch in {NEWCOMER, view.epoch}:
            # What began before we heard anything began in this epoch.
            self.era.epoch, self.era.passes = view.epoch, passes
        else:
            self._probes.clear()
            self._permits.clear()
            # Last: from here on calls see it.
            self.era = Era(view.epoch, passes=passes)
        return (view.phase, view.override, view.epoch) != (before.phase, before.override, before.epoch)

    def lend_probe(self, token: str) -> None:
        """Keep the fleet's probe for the next caller."""
        self._probes.append(token)

    def return_probe(self) -> str:
        """Take back a probe that no caller came for; empty if there is none."""
        try:
            return self._probes.popleft()
        except IndexError:
            return ""

    def stock(self, permits: int, until: float) -> None:
        """Keep permits of the ramp, good until then."""
        self._permits.extend([until] * permits)


def new_token() -> str:
    """Make a prober's token: nobody can guess or repeat it."""
    return secrets.token_hex(8)
