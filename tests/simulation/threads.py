"""The part of the standard module `threading` that the worker uses, played by fibers."""

from collections import deque
from collections.abc import Callable

from holdfast.tests.simulation.fibers import Crashed, Fiber, Kernel


class Condition:
    """A lock is not needed where threads change only when they wait."""

    def __init__(self, lock: object = None) -> None:
        self._waiting: deque[Fiber] = deque()

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        return None

    def wait(self, timeout: float | None = None) -> bool:
        kernel = Kernel.running
        fiber = kernel.here()
        self._waiting.append(fiber)
        try:
            return kernel.park(None if timeout is None else kernel.now + timeout)
        finally:
            if fiber in self._waiting:
                self._waiting.remove(fiber)

    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self._waiting))):
            Kernel.running.wake(self._waiting.popleft())

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


class Event:
    """A flag to wait for."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._condition.notify_all()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._is_set or self._condition.wait(timeout) or self._is_set


class Lock:
    """One holder at a time; it may wait for something else meanwhile."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._is_held = False

    def __enter__(self) -> bool:
        while self._is_held:
            self._condition.wait()
        self._is_held = True
        return True

    def __exit__(self, *_: object) -> None:
        self._is_held = False
        self._condition.notify()


class Thread:
    """A fiber of the process that starts it."""

    def __init__(
        self, *, target: Callable[[], object], name: str = "thread", daemon: bool | None = None
    ) -> None:
        self.name = name
        self._target = target
        self._fiber: Fiber | None = None
        self._ended = Event()

    def start(self) -> None:
        kernel = Kernel.running
        self._fiber = kernel.spawn(kernel.here().process, self.name, self._run)

    def is_alive(self) -> bool:
        return self._fiber is not None and not self._fiber.is_done and self._fiber.process.is_alive

    def join(self, timeout: float | None = None) -> None:
        if self.is_alive():
            self._ended.wait(timeout)

    def _run(self) -> None:
        try:
            self._target()
        except Crashed:
            return
        self._ended.set()
