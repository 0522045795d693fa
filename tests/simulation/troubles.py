"""The faults that come at a time: a crash, a freeze, a stuck loop, a dead line, a jump, a lost broker."""

from collections import Counter
from collections.abc import Callable

from holdfast.jobs.ids import JobId
from holdfast.tests.simulation.broker import Broker
from holdfast.tests.simulation.fibers import Kernel, Process
from holdfast.tests.simulation.fleet import Fleet
from holdfast.tests.simulation.node import LEASE_SECONDS
from holdfast.tests.simulation.plan import CALM_AT_SECONDS, Plan, Trouble

_NOISE_SECONDS = 0.4
_OLD_RING = JobId("a-job-of-long-ago")


class Troubles:
    """Carries out the plan's timed faults."""

    def __init__(
        self, kernel: Kernel, plan: Plan, broker: Broker, fleet: Fleet, note: Callable[[str, str], object]
    ) -> None:
        self.done: Counter[str] = Counter()
        self.jumped_seconds = 0.0
        """How far the database's clock has gone ahead."""
        self._kernel = kernel
        self._plan = plan
        self._broker = broker
        self._fleet = fleet
        self._note = note

    def begin(self) -> None:
        """Let them come."""
        world = Process("world", "world", 0)
        self._kernel.spawn(world, "troubles", self._make)
        if self._plan.is_noisy:
            self._kernel.spawn(world, "noise", self._make_noise)

    def _make(self) -> None:
        for trouble in self._plan.troubles:
            self._kernel.sleep(max(0.0, trouble.at - self._kernel.now))
            self._note("world", f"{trouble.kind} (worker-{trouble.whom + 1})")
            self._befall(trouble)
            self.done[trouble.kind] += 1
        self._kernel.sleep(max(0.0, CALM_AT_SECONDS - self._kernel.now))
        self._note("world", "calm")
        self._broker.is_honest = True

    def _befall(self, trouble: Trouble) -> None:
        process, kernel = self._fleet.process(trouble.whom), self._kernel
        a_while = LEASE_SECONDS * (1.0 + 2.0 * kernel.random.random())
        match trouble.kind:
            case "crash":
                process.steps_left = 1 + kernel.random.randrange(20)
            case "lose the broker":
                self._broker.lose_everything()
            case "freeze":
                process.frozen_until = kernel.now + a_while
            case "stick":
                self._fleet.stick(trouble.whom, kernel.now + a_while)
            case "line":
                process.line_is_down_until = kernel.now + a_while
            case "dark":
                process.line_is_down_until = kernel.now + LEASE_SECONDS
                process.steps_left = 40 + kernel.random.randrange(80)
            case "jump":
                self.jumped_seconds += 5 * LEASE_SECONDS
            case _:
                self._fleet.ask_to_leave(trouble.whom)

    def _make_noise(self) -> None:
        while True:
            self._broker.double(_OLD_RING)
            self._kernel.sleep(_NOISE_SECONDS)
