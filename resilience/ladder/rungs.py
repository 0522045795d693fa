"""The rungs of a ladder. Each has an answer, or says why it has none."""

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Generic, Protocol, TypeVar

from holdfast.jobs.errors import BudgetExhausted, RejectedError
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.ladder.answer import Degraded
from holdfast.resilience.ladder.share import MovingShare

T = TypeVar("T")
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A call on its way down."""

    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a rung answers."""

    value: T
    age_seconds: float = 0.0


class Rung(Protocol[T]):
    """One way to an answer."""

    @property
    def name(self) -> str:
        """As answers and settings name it."""
        ...

    def find(self, asked: Asked) -> Found[T]:
        """Answer. Raises whatever says why not."""
        ...

    async def afind(self, asked: Asked) -> Found[T]:
        """Do the same on an event loop."""
        ...

    def keep(self, asked: Asked, value: T) -> None:
        """Take note of a primary's answer. Raises nothing."""
        ...


class Primary(Generic[T]):
    """The upstream that is meant."""

    name = "primary"

    def __init__(self, guard: Guard, function: Callable[..., Any]) -> None:
        """Call this function through this guard; a coroutine function with `acall` only."""
        self._guard = guard
        self._function = function

    def find(self, asked: Asked) -> Found[T]:
        """Call."""
        return Found(self._guard.call(self._function, *asked.arguments, **asked.options))

    async def afind(self, asked: Asked) -> Found[T]:
        """Call."""
        function: Callable[..., Awaitable[T]] = self._function
        return Found(await self._guard.acall(function, *asked.arguments, **asked.options))

    def keep(self, asked: Asked, value: T) -> None:
        """Nothing is kept."""


class Fallback(Primary[T]):
    """Another upstream, with a guard and so a breaker of its own, that does the same.

    At most a fifth of the calls move to it in the first ten seconds, a fifth
    more in each ten that follow: what was sized for less shall not fall, too.
    """

    def __init__(
        self,
        name: str,
        guard: Guard,
        function: Callable[..., Any],
        *,
        is_equal: bool,
        cost: float = 0.0,
        most_cost_an_hour: float | None = None,
    ) -> None:
        """Name it, and declare that its answers are as good: nothing else can know.

        `cost` is what a call costs, in a unit of yours, and `most_cost_an_hour`
        what this process spends on it at most. Raises ValueError where it is not
        declared equal: a lesser answer is not to be mistaken for the primary's.
        """
        if not is_equal:
            raise ValueError(f"the fallback {name!r} must be declared equal (is_equal=True), or be left out")
        super().__init__(guard, function)
        self.name = name
        self._share = MovingShare()
        self._purse = _Purse(name, cost, most_cost_an_hour)

    def find(self, asked: Asked) -> Found[T]:
        """Call, if it may. Raises RejectedError: too many move at once, or its money is spent."""
        self._check()
        return super().find(asked)

    async def afind(self, asked: Asked) -> Found[T]:
        """Do the same on an event loop."""
        self._check()
        return await super().afind(asked)

    def _check(self) -> None:
        now = monotonic()
        if not self._share.may_move(now):
            raise RejectedError(detail=f"too many calls would move to {self.name} at once")
        self._purse.spend(now)


@dataclass(slots=True)
class _Purse:
    """What one process has spent on a fallback in the last hour."""

    name: str
    cost: float
    most: float | None
    spent: deque[float] = field(default_factory=deque[float])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, now: float) -> None:
        if self.most is None or self.cost <= 0:
            return
        with self.lock:
            while self.spent and now - self.spent[0] >= _HOUR:
                self.spent.popleft()
            if (len(self.spent) + 1) * self.cost > self.most:
                raise BudgetExhausted(
                    retry_after_seconds=_HOUR - (now - self.spent[0]) if self.spent else None,
                    detail=f"{self.name} may cost {self.most:g} an hour",
                )
            self.spent.append(now)


def reason_of(error: BaseException) -> str:
    """Name an error in a word: its code, or its class."""
    return error.code if isinstance(error, RejectedError) else type(error).__name__


def degraded_by(rung: str, errors: list[BaseException], age_seconds: float) -> Degraded:
    """Say where an answer came from, and why."""
    return Degraded(rung, ", ".join(map(reason_of, errors)), age_seconds)
