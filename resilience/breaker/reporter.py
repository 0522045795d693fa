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
    ) -> None:
        """Report to this store; None: there is none to share, and this process judges for itself.

        `on_turn` hears of each turn that this process saw, `on_store` whether the store is there.
        """
        self._shared = store
        self._own = MemoryStore(clock)
        self._clock = clock
        self._on_turn = on_turn
        self._on_store = on_store
        self._who = new_token()
        self._watched: dict[str, _Watched] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pause = LAZY_SECONDS
        """Until the next look, if nobody hurries us."""
        self._lost_until = 0.0
        self.is_store_lost = False
        self.flushes = 0
        """Exchanges with the shared store so far."""

    def hurry(self) -> None:
        """Report soon; safe in any thread, and cheap when it is known already."""
        if not self._wake.is_set():
            self._wake.set()

    def watch(self, breaker: Breaker) -> None:
        """Report for a breaker from now on."""
        self._watched[breaker.name] = _Watched(breaker, Terms.of(breaker.policy))

    def start(self) -> None:
        """Begin, on a daemon thread."""
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
            self._report(watched)

    def hear(self, name: str, reply: Reply) -> None:
        """Take a turn that another process made, as soon as the store tells it."""
        watched = self._watched.get(name)
        if watched is not None and reply.epoch > watched.breaker.view.epoch and not self.is_store_lost:
            self._learn(watched, reply)

    # One breaker.

    def _report(self, watched: _Watched) -> None:
        breaker, now = watched.breaker, self._clock.monotonic()
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
        elif count.is_news or wants or (not breaker.era.passes and now >= watched.ask_at):
            yield base

    def _words(self, watched: _Watched, now: float) -> Iterable[Message]:
        breaker = watched.breaker
        nothing = self._message(watched, Count(), 0)
        while breaker.words:
            word, token, took = breaker.words.popleft()
            yield _with_probe(nothing, word, token, took)
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
        reply = self._ask_shared(watched, message)
        if reply is None:
            stand_in = _with_memory(message, breaker, self._clock.monotonic())
            reply = self._own.exchange(breaker.name, stand_in, Terms.of(_own_policy(breaker)))
        self._learn(watched, reply)
        return reply

    def _ask_shared(self, watched: _Watched, message: Message) -> Reply | None:
        now = self._clock.monotonic()
        if self._shared is None or now < self._lost_until:
            return None
        if self.is_store_lost:
            message = _with_memory(message, watched.breaker, now)
        try:
            reply = self._shared.exchange(watched.breaker.name, message, watched.terms)
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
        if breaker.learn(reply, now):
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
