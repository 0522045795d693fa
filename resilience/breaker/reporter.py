"""Tells the store what calls came to, and the breakers what is true: one thread for a whole process.

Failures are told within milliseconds, successes lazily; whoever has nothing to
tell asks only while its circuit is not closed. A store that is lost costs no
caller anything: this process then judges by what it sees itself, and the
stricter of the two memories counts when the store is back.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final

from holdfast.jobs.clock import Clock, random_fraction
from holdfast.resilience.breaker.breaker import Breaker, new_token
from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.era import Count
from holdfast.resilience.breaker.message import Message, ProbeWord, Reply
from holdfast.resilience.breaker.policy import LOCAL, BreakerPolicy
from holdfast.resilience.breaker.store import BreakerStore, MemoryStore, StoreLost
from holdfast.resilience.breaker.terms import Terms

LAZY_SECONDS: Final = 0.25
"""How often successes alone are told: a thousand processes cost a store four thousand reports a second."""
COALESCE_SECONDS: Final = 0.005
"""How long a failure waits for others to be told with."""
GAP_SECONDS: Final = 0.05
"""Between two reports of one breaker, however much fails."""
POLL_SECONDS: Final = 1.0
"""How often a circuit that is not closed is asked for, with as much again by chance."""
LOST_SECONDS: Final = 1.0
"""How long a store that did not answer is left alone."""
UNUSED_PROBE_SECONDS: Final = 2.0
"""A probe that no caller came for goes back."""
PERMIT_SECONDS: Final = 1.0
"""A permit that no call used is lost: the second that it was for is over."""
_MILLI: Final = 1000


@dataclass(slots=True)
class _Watched:
    """A breaker, and when what was said of it."""

    breaker: Breaker
    terms: Terms
    told_at: float = 0.0
    ask_at: float = 0.0
    token: str = ""
    """Of the probe that is lent to this process."""
    lent_at: float = 0.0
    renewed_at: float = 0.0
    streak: int = 0
    """Failures in a row in this process alone."""
    alone_until: float = 0.0
    """This process fails where others do not: its own gate is shut."""
    is_asked: bool = False
    """To be asked for though there is no news: nobody may have told us."""


def _ignored(*_: object) -> None:
    """Hear, and do nothing."""


class Reporter:
    """Reports for the breakers of one process."""

    def __init__(
        self,
        store: BreakerStore | None,
        *,
        clock: Clock,
        on_turn: Callable[[Breaker, Reply], object] = _ignored,
        on_store: Callable[[bool, str], object] = _ignored,
        on_fault: Callable[[Breaker, Exception], object] = _ignored,
    ) -> None:
        """Report to this store; None: there is none to share, and this process judges for itself.

        `on_turn` hears of each turn that this process saw, `on_store` whether the store is there,
        `on_fault` of a report that failed.
        """
        self._shared = store
        self._own = MemoryStore(clock)
        self._clock = clock
        self._on_turn = on_turn
        self._on_store = on_store
        self._on_fault = on_fault
        self._who = new_token()
        self._watched: dict[str, _Watched] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pause = LAZY_SECONDS
        """Until the next look, if nobody hurries us."""
        self._lost_until = 0.0
        self.is_store_lost = False
        self.is_told = False
        """Turns of other processes reach this one by themselves; if not, it has to ask."""
        self.flushes = 0
        """Exchanges with the shared store so far."""

    def hurry(self) -> None:
        """Report soon; safe in any thread, and cheap when it is known already."""
        if not self._wake.is_set():
            self._wake.set()

    def watch(self, breaker: Breaker) -> None:
        """Report for a breaker from now on."""
        self._watched[breaker.name] = _Watched(breaker, Terms.of(breaker.policy))

    def leave(self, name: str) -> None:
        """Report no more for a breaker."""
        self._watched.pop(name, None)

    def share(self, store: BreakerStore | None) -> None:
        """Report to this store from now on; what was learned without it counts until it says otherwise."""
        self._shared = store
        self._lost_until = 0.0
        self.ask_all()

    def ask_all(self) -> None:
        """Ask soon what is true of every circuit: turns may have been missed."""
        for watched in list(self._watched.values()):
            watched.is_asked = True
        self._wake.set()

    def forget(self) -> None:
        """Begin anew in a forked child, whose parent's thread is not there, and whose locks may be held."""
        self._who = new_token()
        self._own = MemoryStore(self._clock)
        self._wake, self._stop, self._thread = threading.Event(), threading.Event(), None
        self.is_told = False
        for watched in self._watched.values():
            watched.token, watched.streak, watched.is_asked = "", 0, True
            watched.breaker.forget()

    def start(self) -> None:
        """Begin, on a daemon thread."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="holdfast-breakers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after a last report."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._wake.wait(self._pause):
                self._stop.wait(COALESCE_SECONDS)
                self._wake.clear()
            self.report_all()
        self.report_all()

    def report_all(self) -> None:
        """Tell what there is to tell, and ask what there is to ask."""
        self._pause = LAZY_SECONDS
        for watched in list(self._watched.values()):
            try:
                self._report(watched)
            except Exception as error:  # noqa: BLE001 -- one breaker's fault must not end the reports of all
                self._on_fault(watched.breaker, error)

    def hear(self, name: str, reply: Reply) -> None:
        """Take a turn that another process made, as soon as the store tells it."""
        watched = self._watched.get(name)
        if watched is None or self.is_store_lost:
            return
        known = watched.breaker.view.epoch
        # A pushback turns nothing, and is told nevertheless.
        if reply.epoch > known or (reply.epoch == known and reply.not_before > 0):
            # Whoever turned it has told of it.
            self._learn(watched, replace(reply, turns=(), is_overridden=False))

    def exchange(self, name: str, message: Message, policy: BreakerPolicy) -> Reply | None:
        """Say something about an upstream in the name of others than its callers; None: the store is lost.

        Blocks for as long as the store takes. A breaker of that name in this process learns what is true.
        """
        watched = self._watched.get(name)
        if watched is None:
            return self._ask_shared(name, message, Terms.of(policy))
        message = _with_memory(message, watched.breaker, self._clock.monotonic())
        reply = self._ask_shared(name, message, watched.terms)
        if reply is not None:
            self._learn(watched, reply)
        return reply

    @property
    def is_alone(self) -> bool:
        """Tell whether there is no store to share with others."""
        return self._shared is None

    @property
    def who(self) -> str:
        """The name of this process, which is another one in every child."""
        return self._who

    # One breaker.

    def _report(self, watched: _Watched) -> None:
        breaker, now = watched.breaker, self._clock.monotonic()
        if not (breaker.has_news or watched.is_asked or watched.token) and self._hears_turns:
            return
        if now - watched.told_at < GAP_SECONDS:
            self._pause = min(self._pause, watched.told_at + GAP_SECONDS - now)
            return
        for message in self._messages(watched, now):
            reply = self._exchange(watched, message)
            if message.probe is ProbeWord.ASK and reply.is_prober:
                watched.token, watched.lent_at, watched.renewed_at = message.token, now, now
                breaker.lend_probe(message.token)
            elif message.probe not in {ProbeWord.NOTHING, ProbeWord.ASK, ProbeWord.RENEW}:
                watched.token = ""
            if reply.permits:
                breaker.stock(reply.permits, now + PERMIT_SECONDS)
            watched.told_at = now
            watched.ask_at = now + POLL_SECONDS * (1.0 + random_fraction())

    def _messages(self, watched: _Watched, now: float) -> Iterable[Message]:
        breaker = watched.breaker
        count = breaker.era.drain(now, breaker.policy.slow_after_seconds)
        self._judge_alone(watched, count, now)
        wants, breaker.wants = breaker.wants, 0
        asks, breaker.is_probe_wanted = breaker.is_probe_wanted, False
        base = self._message(watched, count, wants)
        yield from self._words(watched, now)
        if asks and not watched.token:
            yield _with_probe(base, ProbeWord.ASK, new_token())
        elif count.is_news or wants or self._is_to_be_asked(watched, now):
            watched.is_asked = False
            yield base

    def _is_to_be_asked(self, watched: _Watched, now: float) -> bool:
        is_stale = now >= watched.ask_at and not (watched.breaker.era.passes and self._hears_turns)
        return watched.is_asked or is_stale

    @property
    def _hears_turns(self) -> bool:
        return self._shared is None or (self.is_told and not self.is_store_lost)

    def _words(self, watched: _Watched, now: float) -> Iterable[Message]:
        breaker = watched.breaker
        nothing = self._message(watched, Count(), 0)
        while breaker.words:
            word, token, took = breaker.words.popleft()
            yield _with_probe(nothing, word, token, took)
        if breaker.probe_under_way not in {"", watched.token}:
            # A ticket's: somebody else was lent it, and we have to keep it from now on.
            watched.token, watched.renewed_at = breaker.probe_under_way, 0.0
        if not watched.token:
            return
        if breaker.probe_under_way == watched.token:
            if now - watched.renewed_at >= breaker.policy.probe_lease_seconds / 3:
                watched.renewed_at = now
                yield _with_probe(nothing, ProbeWord.RENEW, watched.token)
        elif now - watched.lent_at > UNUSED_PROBE_SECONDS and (token := breaker.return_probe()):
            yield _with_probe(nothing, ProbeWord.DROPPED, token)

    def _message(self, watched: _Watched, count: Count, wants: int) -> Message:
        return Message(
            who=self._who,
            epoch=watched.breaker.era.epoch,
            wants=wants,
            chance=int(random_fraction() * _MILLI),
            **asdict(count),
        )

    # The store, or what stands in for it.

    def _exchange(self, watched: _Watched, message: Message) -> Reply:
        breaker = watched.breaker
        # Always: whoever speaks first to a store that forgot may be any breaker, or the releaser.
        message = _with_memory(message, breaker, self._clock.monotonic())
        reply = self._ask_shared(breaker.name, message, watched.terms)
        if reply is None:
            now = self._clock.monotonic()
            stand_in = _with_memory(message, breaker, now)
            own = self._own.exchange(breaker.name, stand_in, Terms.of(_own_policy(breaker)))
            reply = breaker.view.overlay(own, now)
        self._learn(watched, reply)
        return reply

    def _ask_shared(self, name: str, message: Message, terms: Terms) -> Reply | None:
        if self._shared is None or self._clock.monotonic() < self._lost_until:
            return None
        try:
            reply = self._shared.exchange(name, message, terms)
        except StoreLost as error:
            self._lost_until = self._clock.monotonic() + LOST_SECONDS
            self._note_store(is_lost=True, why=str(error))
            return None
        self.flushes += 1
        self._note_store(is_lost=False, why="")
        return reply

    def _note_store(self, *, is_lost: bool, why: str) -> None:
        if is_lost != self.is_store_lost:
            self.is_store_lost = is_lost
            self._on_store(not is_lost, why)

    def _learn(self, watched: _Watched, reply: Reply) -> None:
        breaker, now = watched.breaker, self._clock.monotonic()
        if now < watched.alone_until and reply.phase is Phase.CLOSED:
            wait = int((watched.alone_until - now) * _MILLI)
            reply = replace(reply, phase=Phase.OPEN, closed_for=wait, reason="only this process fails")
        # A push may have been faster than the reply to whoever turned it.
        if breaker.learn(reply, now) or reply.turns or reply.is_overridden:
            self._on_turn(breaker, reply)

    def _judge_alone(self, watched: _Watched, count: Count, now: float) -> None:
        """Shut this process's own gate where the fleet's stays open: one bad pod fails alone."""
        policy = watched.breaker.policy
        watched.streak = count.tail if count.ok else watched.streak + count.failed
        if watched.streak >= policy.streak and self._shared is not None:
            watched.alone_until = now + policy.open_seconds
            # One more failure afterwards is enough.
            watched.streak = policy.streak - 1


def _own_policy(breaker: Breaker) -> BreakerPolicy:
    policy = breaker.policy
    return replace(
        policy,
        streak=min(policy.streak, LOCAL.streak),
        least_calls=min(policy.least_calls, LOCAL.least_calls),
        rare_calls=min(policy.rare_calls, LOCAL.rare_calls),
    )


def _with_memory(message: Message, breaker: Breaker, now: float) -> Message:
    view = breaker.view
    return replace(message, known_epoch=view.epoch, known_open=int(view.open_for(now) * _MILLI))


def _with_probe(message: Message, word: ProbeWord, token: str, took: float = 0.0) -> Message:
    return replace(message, probe=word, token=token, probe_took=int(took * _MILLI))
