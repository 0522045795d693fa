"""What others do in an outage: nothing, backoff, or a breaker in each process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from holdfast.resilience.backoff import full_jitter
from holdfast.tests.support.outage.world import Refused, Work, World

PROCESSES: Final = 20


class Constant:
    """No protection: again after five seconds, for ever."""

    seconds = 5.0

    def begin(self, world: World) -> None:
        """Remember where."""
        self._world = world

    def start(self, work: Work) -> Callable[[Refused | None], None] | None:
        """Call."""
        return lambda error: None if error is None else self._again(work)

    def wait(self, work: Work) -> float:
        """Return how long until the next try."""
        del work
        return self.seconds

    def _again(self, work: Work) -> None:
        work.attempt += 1
        self._world.after(self.wait(work), lambda: self._world.make_available(work))


class FullJitter(Constant):
    """Exponential backoff with full jitter, from one second to a minute."""

    def wait(self, work: Work) -> float:
        """Return a time from a range that doubles."""
        return full_jitter(
            work.attempt - 1, base_seconds=1.0, cap_seconds=60.0, fraction=self._world.random.random()
        )


@dataclass(slots=True)
class _Usual:
    """A breaker as there are many: five failures in a row open it for half a minute, then all may try."""

    failures: int = 0
    open_until: float = 0.0


@dataclass
class OnePerProcess(FullJitter):
    """Full jitter, and such a breaker in each of twenty processes; who is refused backs off, too."""

    breakers: list[_Usual] = field(default_factory=lambda: [_Usual() for _ in range(PROCESSES)])

    def start(self, work: Work) -> Callable[[Refused | None], None] | None:
        """Call, if the process's breaker lets it."""
        breaker = self._world.random.choice(self.breakers)
        if self._world.time < breaker.open_until:
            self._again(work)
            return None

        def tell(error: Refused | None) -> None:
            if error is None:
                breaker.failures = 0
                return
            breaker.failures += 1
            if breaker.failures >= 5:
                breaker.open_until = self._world.time + 30.0
            self._again(work)

        return tell
