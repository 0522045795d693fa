"""The upstreams as one process sees them: its breakers, and what joins them to those of the whole fleet.

There is one for a process (`FLEET`), and guards use it unless they are told
another one. Until a store is shared with others, the process judges for itself.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakSet

from holdfast.jobs.clock import Clock, SystemClock
from holdfast.jobs.errors import RejectedError
from holdfast.jobs.events import Event, Events, ServiceFailed
from holdfast.jobs.upstream_events import (
    BreakerStoreFound,
    BreakerStoreLost,
    ChaosIsOn,
    UpstreamOverridden,
    UpstreamSeen,
    UpstreamTurned,
)
from holdfast.resilience.breaker.breaker import Breaker, Judge
from holdfast.resilience.breaker.listener import Listener
from holdfast.resilience.breaker.message import Reply
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.reporter import Reporter
from holdfast.resilience.breaker.store import MOST_CIRCUITS, BreakerStore, SharedRedis
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, Ticket, is_upstream
from holdfast.resilience.chaos import Injector
from holdfast.resilience.verdicts import verdict_of

T = TypeVar("T")

DEFAULT_POLICY: Final = BreakerPolicy()
_LOOKED_AT: Final = 64
"""How many of the oldest breakers are looked at for one that is idle."""
WARM_UP_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.005
_LONGEST_ERROR: Final = 500
_MILLI: Final = 1000.0


@dataclass(slots=True)
class _Declared:
    """The guard of an upstream, as it was declared first."""

    guard: Any  # made of this module; its type would have to be known here
    options: object
    is_doubtful: bool = False
    """A later one has other options: nobody can tell which one is meant by the name."""


class Fleet:
    """Holds the breakers of a process. All methods may be called from any thread."""

    def __init__(
        self, *, clock: Clock | None = None, events: Events | None = None, most_keyed: int = MOST_CIRCUITS
    ) -> None:
        """Keep at most so many keyed breakers; nothing runs before the first call of a guard."""
        self.clock = clock or SystemClock()
        self.events = events or Events()
        self.reporter = Reporter(
            None,
            clock=self.clock,
            on_turn=self._tell_turn,
            on_store=self._tell_store,
            on_fault=self._tell_fault,
        )
        self.shared: SharedRedis | None = None
        """Where limits and caches find those of other processes; None: they are alone."""
        self.processes: Callable[[], int] = int
        """How many processes call upstreams, as last known. A worker sets it; elsewhere nobody counts: 0."""
        self.chaos: Injector | None = None
        """What fails calls on purpose; None: nothing does. Set by `strike_by`."""
        self._listener: Listener | None = None
        self._most_keyed = most_keyed
        self._named: dict[str, Breaker] = {}
        self._declared: dict[str, _Declared] = {}
        self._keyed: OrderedDict[str, Breaker] = OrderedDict()
        self._lock = threading.Lock()
        self._is_running = False
        _FLEETS.add(self)

    def breaker(
        self, name: str, policy: BreakerPolicy = DEFAULT_POLICY, judge: Judge = verdict_of
    ) -> Breaker:
        """Return the breaker of an upstream, and make it if there is none.

        Raises ValueError for a name that is empty, too long or unprintable, and
        for a second policy of the same upstream: one of the two would be ignored.
        """
        with self._lock:
            breaker = self._named.get(name) or self._keyed.get(name)
            if breaker is None:
                breaker = self._make(name, policy, judge)
            elif policy not in {breaker.policy, DEFAULT_POLICY}:
                raise ValueError(f"the upstream {name!r} has another BreakerPolicy already; give it one only")
            # One of many until now: it is named, and stays. A second one would not be reported for.
            self._keyed.pop(name, None)
            self._named[name] = breaker
            return breaker

    def keyed_breaker(self, name: str, policy: BreakerPolicy, judge: Judge = verdict_of) -> Breaker:
        """Do the same for one of very many; of those that are idle and closed, the oldest make room."""
        with self._lock:
            named = self._named.get(name)
            if named is not None and policy in {named.policy, DEFAULT_POLICY}:
                return named
            if named is not None and named.policy == DEFAULT_POLICY:
                # It was asked for by its name before a guard said how it judges; one only is reported for.
                del self._named[name]
            breaker = self._keyed.get(name)
            if breaker is None:
                breaker = self._keyed[name] = self._make(name, policy, judge)
                if len(self._keyed) > self._most_keyed:
                    self._make_room()
            self._keyed.move_to_end(name)
            return breaker

    def declare(self, name: str, guard: object, options: object) -> None:
        """Note that an upstream has this guard; of several with equal options the first one counts."""
        first = self._declared.setdefault(name, _Declared(guard, options))
        if first.options != options:
            first.is_doubtful = True

    def declared(self, name: str) -> Any:  # noqa: ANN401 -- a guard, which is made of this module
        """Return the guard that an upstream was given; None: none was.

        Raises ValueError if several were declared with different options.
        """
        found = self._declared.get(name)
        if found is None:
            return None
        if found.is_doubtful:
            raise ValueError(f"the upstream {name!r} has several guards with different options")
        return found.guard

    def stand_in(self, breaker: Breaker, make: Callable[[Breaker], T]) -> T:
        """Return what was made for a breaker that nobody declared a guard for: the same one each time."""
        with self._lock:
            if breaker.stand_in is None:
                breaker.stand_in = make(breaker)
            made: T = breaker.stand_in
            return made

    def callers(self) -> int:
        """Return by how many processes a limit is divided while the shared store is lost; 0: nobody knows."""
        return self.processes()

    def known(self, name: str) -> Breaker | None:
        """Return the breaker of an upstream that was called here; None if there is none."""
        return self._named.get(name) or self._keyed.get(name)

    def refusal(self, name: str, ticket: Ticket | None = None) -> RejectedError | None:
        """Say why a call to an upstream would not pass now, for a job that names it before it calls.

        None: it would, or might, or the job has a ticket for it.
        """
        if ticket is not None and ticket.upstream == name:
            return None
        breaker = self.breaker(name)
        breaker.begin()
        if self.is_alone and breaker.may_try():
            # No ticket comes from anywhere: unless somebody calls, nobody ever finds out that it is back.
            return None
        return breaker.refusal()

    @property
    def is_alone(self) -> bool:
        """Tell whether this process judges for itself: there is no store to share, or it is lost."""
        return self.reporter.is_alone or self.reporter.is_store_lost

    def share(self, store: BreakerStore | None, listener: Listener | None = None) -> None:
        """Judge together with all processes that use this store; None: for itself again.

        Without a listener, turns of others are heard of within a second or two instead of milliseconds.
        """
        with self._lock:
            before, self._listener = self._listener, listener
            self.reporter.share(store)
            is_running = self._is_running
        if before is not None:
            before.stop()
        if is_running:
            self._listen()

    def strike_by(self, injector: Injector | None) -> None:
        """Fail calls of this process on purpose from now on; None: no more. Emits ChaosIsOn."""
        with self._lock:
            self.chaos = injector
            for breaker in (*self._named.values(), *self._keyed.values()):
                breaker.strike(self._is_struck(breaker.name))
        if injector is not None:
            self.emit(ChaosIsOn(" ".join(map(str, injector.strategies))))

    def _is_struck(self, name: str) -> bool:
        return self.chaos is not None and self.chaos.strategy(name) is not None

    def run(self) -> None:
        """Begin to report, if that has not begun; guards do it at their first call."""
        with self._lock:
            if self._is_running:
                return
            try:
                self.reporter.start()
            except RuntimeError as error:
                # No thread is to be had. The call goes on, and a later one tries again.
                self.events.emit(ServiceFailed(service="breakers", error=str(error)))
                return
            self._is_running = True
        self._listen()

    def warm_up(self, longest_seconds: float = WARM_UP_SECONDS) -> bool:
        """Ask the store about all upstreams that have a guard, before their first call; True: it told.

        A process that starts in the middle of an outage would learn of it by a
        call of its own. Waits no longer than this for a store that is away.
        """
        self.run()
        if self.reporter.is_alone:
            return True
        self.reporter.ask_all()
        ends = self.clock.monotonic() + longest_seconds
        waits = threading.Event()
        while not all(breaker.view.epoch for breaker in tuple(self._named.values())):
            if self.clock.monotonic() >= ends or self.reporter.is_store_lost:
                return False
            waits.wait(_LOOK_SECONDS)
        return True

    def stop(self) -> None:
        """Tell what there is to tell, and end. What is called afterwards begins again."""
        with self._lock:
            was_running, self._is_running = self._is_running, False
            listener = self._listener
        if listener is not None:
            listener.stop()
        if was_running:
            self.reporter.stop()
        for breaker in (*self._named.values(), *self._keyed.values()):
            breaker.forget()

    def emit(self, event: Event) -> None:
        """Tell what happened to whoever listens."""
        self.events.emit(event)

    def forget(self) -> None:
        """Begin anew in a forked child: threads are not there, and locks may be held."""
        self._lock = threading.Lock()
        self._is_running = False
        self.reporter.forget()

    def _make(self, name: str, policy: BreakerPolicy, judge: Judge) -> Breaker:
        if not is_upstream(name):
            raise ValueError(f"an upstream's name must be 1 to {LONGEST_UPSTREAM} printable characters")
        # The clock's own function where that is the machine's: it is asked in every call.
        now = time.monotonic if isinstance(self.clock, SystemClock) else self.clock.monotonic
        breaker = Breaker(name, policy, judge=judge, wake=self._hurry, begin=self.run, now=now)
        breaker.strike(self._is_struck(name))
        self.reporter.watch(breaker)
        return breaker

    def _make_room(self) -> None:
        oldest = [name for name, _ in zip(self._keyed, range(_LOOKED_AT), strict=False)]
        idle = (name for name in oldest if not self._keyed[name].has_news)
        name = next(idle, oldest[0])
        del self._keyed[name]
        self.reporter.leave(name)

    def _hurry(self) -> None:
        if not self._is_running:
            self.run()
        self.reporter.hurry()

    def _listen(self) -> None:
        listener = self._listener
        if listener is None:
            return
        try:
            listener.start(self.reporter.hear, self._hears)
        except RuntimeError as error:
            # Asked for instead, every second or two.
            self.events.emit(ServiceFailed(service="breakers", error=str(error)))

    def _hears(self, hears: bool) -> None:  # noqa: FBT001 -- the one meaning of the callback
        self.reporter.is_told = hears
        if hears:
            self.reporter.ask_all()

    def _tell_turn(self, breaker: Breaker, reply: Reply) -> None:
        phase, override = reply.phase.value, reply.override.value
        for turn in reply.turns:
            closed_for = reply.closed_for / _MILLI
            self.emit(UpstreamTurned(breaker.name, turn.value, phase, reply.reason, closed_for))
        if reply.is_overridden:
            self.emit(UpstreamOverridden(breaker.name, override, reply.reason))
        self.emit(UpstreamSeen(breaker.name, phase, override, reply.reason))

    def _tell_fault(self, breaker: Breaker, error: Exception) -> None:
        self.emit(ServiceFailed(service="breakers", error=f"{breaker.name}: {error!r}"[:_LONGEST_ERROR]))

    def _tell_store(self, is_there: bool, why: str) -> None:  # noqa: FBT001 -- the one meaning of the callback
        self.emit(BreakerStoreFound() if is_there else BreakerStoreLost(error=why))


def _forget_all() -> None:
    for fleet in list(_FLEETS):
        fleet.forget()


_FLEETS: Final[WeakSet[Any]] = WeakSet()
FLEET: Final = Fleet()
"""The upstreams of this process."""

os.register_at_fork(after_in_child=_forget_all)
