"""The ladder: a call that its primary does not answer goes down until somebody does."""

from collections.abc import Collection
from typing import Final, Generic, TypeVar

from holdfast.jobs.clock import Clock, SystemClock
from holdfast.jobs.errors import RejectedError
from holdfast.resilience.faults import Fault, judge
from holdfast.resilience.ladder.answer import Answer
from holdfast.resilience.ladder.rungs import Asked, Primary, Rung, degraded_by

T = TypeVar("T")
_STAYS: Final = frozenset({Fault.PERMANENT, Fault.NEUTRAL})
"""Faults of the call itself: another upstream would say the same, and nobody is to be asked instead."""


class Ladder(Generic[T]):
    """Asks the primary, then each rung in turn; the last that is left is what the primary raised.

    In a job that last rung is waiting: an open breaker parks the job, and its
    attempt is given back. Every answer says which rung gave it, and why.
    """

    def __init__(self, primary: Primary[T], *rungs: Rung[T], clock: Clock | None = None) -> None:
        """Go down in this order. Raises ValueError for two rungs of one name."""
        names = [primary.name, *(rung.name for rung in rungs)]
        if len(set(names)) < len(names):
            raise ValueError(f"two rungs have one name: {', '.join(names)}")
        self._primary = primary
        self._rungs = rungs
        self._clock = clock or SystemClock()

    def call(self, *arguments: object, allow: Collection[str] | None = None, **options: object) -> Answer[T]:
        """Ask. `allow` names the rungs below the primary that this call may use; None: all.

        Raises what the primary raised, if nobody answers, or if another one would raise the same.
        """
        asked = Asked(arguments, options)
        errors: list[BaseException] = []
        try:
            return self._kept(asked, self._primary.find(asked).value)
        except Exception as error:
            if self._stays(error):
                raise
            errors.append(error)
        for rung in self._allowed(allow):
            try:
                found = rung.find(asked)
            except Exception as error:  # noqa: BLE001 -- the next rung may know; else the primary's is raised
                errors.append(error)
            else:
                return Answer(found.value, degraded_by(rung.name, errors, found.age_seconds))
        raise errors[0]

    async def acall(
        self, *arguments: object, allow: Collection[str] | None = None, **options: object
    ) -> Answer[T]:
        """Do the same for coroutine functions."""
        asked = Asked(arguments, options)
        errors: list[BaseException] = []
        try:
            return self._kept(asked, (await self._primary.afind(asked)).value)
        except Exception as error:
            if self._stays(error):
                raise
            errors.append(error)
        for rung in self._allowed(allow):
            try:
                found = await rung.afind(asked)
            except Exception as error:  # noqa: BLE001 -- the next rung may know; else the primary's is raised
                errors.append(error)
            else:
                return Answer(found.value, degraded_by(rung.name, errors, found.age_seconds))
        raise errors[0]

    def _allowed(self, allow: Collection[str] | None) -> list[Rung[T]]:
        return [rung for rung in self._rungs if allow is None or rung.name in allow]

    def _stays(self, error: Exception) -> bool:
        return not isinstance(error, RejectedError) and judge(error, now=self._clock.now()).fault in _STAYS

    def _kept(self, asked: Asked, value: T) -> Answer[T]:
        for rung in self._rungs:
            rung.keep(asked, value)
        return Answer(value)
