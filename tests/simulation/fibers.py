"""A machine room in one thread: processes whose threads take turns, and a time that only moves when all rest.

Each simulated thread is a greenlet. It runs until it waits, and whoever is to
run next is drawn from the seed; so every interleaving can be had again.
"""

import math
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from greenlet import GreenletExit, getcurrent, greenlet

MOST_STEPS = 200_000
"""A run that takes longer turns in circles."""


class Crashed(GreenletExit):
    """The process of this thread is gone."""


@dataclass(eq=False)
class Process:
    """A process of one machine. `frozen_until` and `line_is_down_until` are simulated seconds."""

    name: str
    machine: str
    pid: int
    on_end: Callable[[], object] = field(default=bool, repr=False)
    """Called when it is gone, however it went."""
    is_alive: bool = True
    frozen_until: float = 0.0
    line_is_down_until: float = 0.0
    steps_left: int | None = None
    """It dies after so many more steps."""

    @property
    def marker(self) -> str:
        """When it began, as the machine says it."""
        return f"began-{self.pid}"


class Fiber:
    """One thread of a process."""

    def __init__(self, process: Process, name: str, work: Callable[[], object], scheduler: greenlet) -> None:
        self.process = process
        self.name = name
        self.wake_at = 0.0
        self.stuck_until = 0.0
        self.is_notified = False
        self.is_done = False
        self.verb = ""
        self.arguments: tuple = ()
        self._work = work
        self.greenlet = greenlet(self._run, scheduler)

    @property
    def runs_at(self) -> float:
        """When it can go on."""
        return max(self.wake_at, self.stuck_until, self.process.frozen_until)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self.is_done = True


class Kernel:
    """Lets the fibers take turns. One runs at a time in the interpreter: `Kernel.running`."""

    running: ClassVar["Kernel"]

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- a story that can be told again is no secret
        self.now = 0.0
        self.steps = 0
        self.current: Fiber | None = None
        self.processes: list[Process] = []
        self.stage: Any = None
        """What handlers find outside of the ledger."""
        self.leftovers: list[Callable[[], object]] = []
        """Called at the end of a run."""
        self._fibers: list[Fiber] = []
        self._dead: list[Fiber] = []
        self._main = getcurrent()

    def start_process(
        self, name: str, machine: str, main: Callable[[], object], on_end: Callable[[], object] = bool
    ) -> Process:
        """Start a process with its main thread."""
        process = Process(name, machine, 1000 + len(self.processes), on_end)
        self.processes.append(process)
        self.spawn(process, "main", main)
        return process

    def spawn(self, process: Process, name: str, work: Callable[[], object]) -> Fiber:
        """Start a thread."""
        fiber = Fiber(process, name, work, self._main)
        fiber.wake_at = self.now
        self._fibers.append(fiber)
        return fiber

    def fibers_of(self, process: Process) -> list[Fiber]:
        """The threads of a process that have not ended."""
        return [fiber for fiber in self._fibers if fiber.process is process]

    def park(self, until: float | None = None) -> bool:
        """Let others run until notified (True) or until a time (False). Raises Crashed."""
        fiber = self.here()
        fiber.wake_at = math.inf if until is None else until
        fiber.is_notified = False
        self._main.switch()
        if not fiber.process.is_alive:
            raise Crashed
        return fiber.is_notified

    def sleep(self, seconds: float) -> None:
        """Let others run for so long; not notified meanwhile."""
        self.park(self.now + seconds)

    def wake(self, fiber: Fiber) -> None:
        """Notify a thread that is parked."""
        fiber.is_notified = True
        fiber.wake_at = min(fiber.wake_at, self.now)

    def here(self) -> Fiber:
        """The running thread. Raises Crashed if its process is gone, as while it unwinds."""
        if self.current is None or not self.current.process.is_alive:
            raise Crashed
        return self.current

    def kill(self, process: Process) -> None:
        """End a process at once; nothing of it runs again."""
        if not process.is_alive:
            return
        process.is_alive = False
        self._dead += self.fibers_of(process)
        self._fibers = [fiber for fiber in self._fibers if fiber.process is not process]
        process.on_end()

    def exit(self) -> None:
        """End the running thread's process."""
        self.kill(self.here().process)
        raise Crashed

    def step(self) -> None:
        """Run one thread to its next wait, or let time pass to where one can run."""
        now = self.now
        ready = [
            fiber
            for fiber in self._fibers
            if fiber.wake_at <= now and fiber.process.frozen_until <= now and fiber.stuck_until <= now
        ]
        if not ready:
            self.now = min(fiber.runs_at for fiber in self._fibers)
            return
        self.steps += 1
        fiber = ready[int(self.random.random() * len(ready))]
        if fiber.process.steps_left is not None:
            fiber.process.steps_left -= 1
            if fiber.process.steps_left <= 0:
                self.kill(fiber.process)
                return
        self._resume(fiber)

    def _resume(self, fiber: Fiber) -> None:
        self.current = fiber
        try:
            fiber.greenlet.switch()
        finally:
            self.current = None
            if fiber.is_done and fiber in self._fibers:
                self._fibers.remove(fiber)

    def close(self) -> None:
        """End everything that is left, without letting it do anything more."""
        for process in self.processes:
            process.is_alive = False
        for fiber in (*self._fibers, *self._dead):
            fiber.greenlet.throw(Crashed)
        self._fibers.clear()
        self._dead.clear()
        with warnings.catch_warnings():
            # A coroutine that a dead loop was handed and never began.
            warnings.simplefilter("ignore", RuntimeWarning)
            for bury in self.leftovers:
                bury()
            self.leftovers.clear()
