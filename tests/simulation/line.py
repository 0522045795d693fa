"""A process's way to the ledger: each verb is named while it runs, so that a commit can be told of."""

from collections.abc import Callable
from typing import Any

from holdfast.ledger import Ledger
from holdfast.ledger.children import Children
from holdfast.ledger.concurrency import Concurrency
from holdfast.tests.simulation.fibers import Kernel


class Line:
    """The real ledger, seen from one process. Speaking takes a moment in which others may speak."""

    def __init__(self, kernel: Kernel, ledger: Ledger, latency: Callable[[], float]) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._latency = latency

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._ledger, name)
        if isinstance(verb, (Children, Concurrency)):
            family: Any = verb
            setattr(self, name, Line(self._kernel, family, self._latency))
            return getattr(self, name)
        if not callable(verb):
            return verb

        def call(*arguments: Any, **options: Any) -> Any:
            self._kernel.here()
            self._kernel.sleep(self._latency())
            fiber = self._kernel.here()
            fiber.verb, fiber.arguments = name, arguments
            try:
                return verb(*arguments, **options)
            finally:
                fiber.verb, fiber.arguments = "", ()

        setattr(self, name, call)
        return call
