"""A guarded block of code."""

from types import TracebackType
from typing import Any, Self

from holdfast.resilience.breaker.verdict import NO_VERDICT
from holdfast.resilience.guard.attempt import Attempt
from holdfast.resilience.guard.entrance import Entrance
from holdfast.resilience.guard.frame import FRAME


class Slot:
    """What `guard.slot()` returns, to be used once, with `with` or `async with`.

    A block that ends is a success, one that raises is judged by what it raised;
    `success`, `fail` and `neutral` say it before, and the first word counts.
    """

    def __init__(self, entrance: Entrance) -> None:
        """Enter here."""
        self._entrance = entrance
        self._attempt: Attempt | None = None
        self._token: Any = None

    def success(self, result: object = None) -> None:
        """Say that the call went well, whatever follows in the block."""
        self._entered().succeed(result)

    def fail(self, error: BaseException) -> None:
        """Say that the call failed, though the block does not raise."""
        self._entered().fail(error)

    def neutral(self) -> None:
        """Say that the call tells nothing about the upstream."""
        self._entered().end(NO_VERDICT)

    def __enter__(self) -> Self:
        return self._begin(self._entrance.begin())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        FRAME.reset(self._token)
        if error is None:
            self._entered().succeed()
        else:
            self._entered().fail(error)

    async def __aenter__(self) -> Self:
        return self._begin(await self._entrance.abegin())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _begin(self, attempt: Attempt) -> Self:
        self._attempt = attempt
        self._token = FRAME.set(self._entrance.frame(attempt.until))
        return self

    def _entered(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("the slot was not entered: use it as `with guard.slot() as slot:`")
        return self._attempt
