"""The model of an outage: jobs that come at random, slots that run them, an upstream that falls and recovers.

Section by section as measured before the product was built: one-second jobs
(0.5 to 1.5 s), 200 slots, an upstream of 100 that is down for a minute (it then
errs after 0.2 s) and comes back at 30 %, rising to 100 % over a minute. Full, it
rejects after 0.2 s, and every rejection costs it a part of a slot's second: a
storm keeps it ill. One event at a time, no threads, no sleeping, seeded.
"""

import contextlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from unittest import mock

from holdfast.resilience import turnstile
from holdfast.resilience.breaker import reporter

_BY_CHANCE: Final = (reporter, turnstile)
"""Modules of the product that spread their calls over time."""
SLOTS: Final = 200
CAPACITY: Final = 100
ARRIVE_UNTIL: Final = 360.0
DOWN, UP, WELL = 60.0, 120.0, 180.0
"""When the upstream falls, when it answers again, and when it is as strong as before."""
WEAK: Final = 0.3
ERROR_SECONDS: Final = 0.2
LONGEST: Final = 1200.0
"""What is not done by then never will be."""
WAITED_LONG: Final = 10.0
NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Clock:
    """The clock of the model, which everything in it is told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        """As people read it."""
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """From a thousand on: nothing in the product may take 0 for a time."""
        return self.seconds


@dataclass(slots=True)
class Work:
    """A job of the model."""

    number: int
    came: float
    done: float = -1.0
    attempt: int = 1
    claims: int = 0
    ticket: str | None = None


@dataclass(slots=True)
class Run:
    """What happened."""

    works: list[Work] = field(default_factory=list[Work])
    calls: Counter[int] = field(default_factory=Counter[int])
    """By second."""
    wasted: Counter[int] = field(default_factory=Counter[int])
    ended: float = 0.0


class Refused(Exception):
    """The upstream answered with an error of this HTTP status."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"HTTP {status_code}")
        self.status_code = status_code


class Policy(Protocol):
    """What is done with jobs: whether they call, and what becomes of those that failed."""

    def begin(self, world: "World") -> None:
        """Set up."""
        ...

    def start(self, work: Work) -> Callable[[Refused | None], None] | None:
        """Let a job call: returns who is told how it went. None: it gave its slot back, and waits."""
        ...


class World:
    """One run of the model."""

    def __init__(
        self,
        policy: Policy,
        *,
        seed: int,
        jobs_a_second: float,
        rejection_cost: float,
        longest: float = LONGEST,
    ) -> None:
        """Let jobs come at this rate; a rejection costs the upstream so many slot-seconds.

        What is not done after `longest` seconds counts as never done.
        """
        self._longest = longest
        self.clock = Clock()
        self.random = random.Random(seed)  # noqa: S311 -- a model, and seeded
        self.run = Run()
        self.policy = policy
        self._rate = jobs_a_second
        self._cost = rejection_cost
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._available: deque[Work] = deque()
        self._free = SLOTS
        self._busy = 0.0
        self._left = 0
        self._has_all = False

    @property
    def time(self) -> float:
        """Seconds since the beginning."""
        return self.clock.seconds - 1000.0

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Have something happen."""
        self._count += 1
        heapq.heappush(self._events, (max(time, self.time), self._count, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something happen in a while."""
        self.at(self.time + seconds, act)

    def make_available(self, work: Work) -> None:
        """Let a job run when there is a slot."""
        self._available.append(work)
        self._fill()

    def play(self) -> Run:
        """Play to the end of the last job. One seed tells one story, chances of the product included."""
        with contextlib.ExitStack() as stack:
            for module in _BY_CHANCE:
                stack.enter_context(mock.patch.object(module, "random_fraction", self.random.random))
            self.policy.begin(self)
            self.at(0.0, self._arrive)
            while self._events and self.time < self._longest and not (self._has_all and self._left == 0):
                time, _, act = heapq.heappop(self._events)
                self.clock.seconds = 1000.0 + time
                act()
        self.run.ended = self.time
        return self.run

    def _arrive(self) -> None:
        work = Work(len(self.run.works), self.time)
        self.run.works.append(work)
        self._left += 1
        following = self.time + self.random.expovariate(self._rate)
        if following < ARRIVE_UNTIL:
            self.at(following, self._arrive)
        else:
            self._has_all = True
        self.make_available(work)

    def _fill(self) -> None:
        while self._free > 0 and self._available:
            work = self._available.popleft()
            work.claims += 1
            self._free -= 1
            tell = self.policy.start(work)
            if tell is None:
                self._free += 1
            else:
                self._call(work, tell)

    def _call(self, work: Work, tell: Callable[[Refused | None], None]) -> None:
        self.run.calls[int(self.time)] += 1
        if DOWN <= self.time < UP:
            self._fail(503, tell)
        elif self._busy + 1 > capacity(self.time):
            self._eat()
            self._fail(429, tell)
        else:
            self._busy += 1
            self.after(self.random.uniform(0.5, 1.5), lambda: self._succeed(work, tell))

    def _eat(self) -> None:
        if self._cost <= 0:
            return
        self._busy += 1

        def give_back() -> None:
            self._busy -= 1

        self.after(self._cost, give_back)

    def _fail(self, status: int, tell: Callable[[Refused | None], None]) -> None:
        self.run.wasted[int(self.time)] += 1

        def ended() -> None:
            self._free += 1
            tell(Refused(status))
            self._fill()

        self.after(ERROR_SECONDS, ended)

    def _succeed(self, work: Work, tell: Callable[[Refused | None], None]) -> None:
        self._busy -= 1
        self._free += 1
        self._left -= 1
        work.done = self.time
        tell(None)
        self._fill()


def capacity(time: float) -> float:
    """Return how many calls the upstream takes at one time."""
    if DOWN <= time < UP:
        return 0.0
    if UP <= time < WELL:
        return CAPACITY * (WEAK + (1 - WEAK) * (time - UP) / (WELL - UP))
    return float(CAPACITY)


def ideal_drain(jobs_a_second: float) -> float:
    """Return the seconds after the recovery in which the backlog is gone if all capacity is used."""
    backlog, time, step = jobs_a_second * (UP - DOWN), UP, 0.1
    while backlog > 0 and time < LONGEST:
        arriving = jobs_a_second if time < ARRIVE_UNTIL else 0.0
        backlog += (arriving - capacity(time)) * step
        time += step
    return time - UP
