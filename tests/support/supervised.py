"""What any platform has around a worker."""

from collections.abc import Callable
from typing import Any

from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer


class Supervised:
    """A worker that is started again when it has died, as any platform does."""

    def __init__(self, platform: Platform, **settings: Any) -> None:
        """Start it; `settings` are what `Platform.worker` takes."""
        self._platform = platform
        self._settings = settings
        self.current = platform.worker(**settings)
        self.dead: list[WorkerServer] = []

    def keep_up(self) -> None:
        """Start it again if it is dead."""
        if not self.current.is_running:
            self.dead.append(self.current)
            self.current = self._platform.worker(**self._settings)

    def until(self, predicate: Callable[[], object], *, timeout_seconds: float, what: str) -> None:
        """Keep it up until something is true."""

        def look() -> object:
            self.keep_up()
            return predicate()

        until(look, timeout_seconds=timeout_seconds, what=what)
