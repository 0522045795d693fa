"""The workers of a run, and who starts them again."""

from collections.abc import Callable
from typing import Any, Final

from holdfast.jobs.errors import PlatformError
from holdfast.jobs.events import Event
from holdfast.jobs.ids import JobId
from holdfast.tests.simulation.broker import Broker
from holdfast.tests.simulation.fibers import Kernel, Process
from holdfast.tests.simulation.node import Node
from holdfast.tests.simulation.plan import Plan
from holdfast.tests.simulation.shelf import Shelf
from holdfast.tests.simulation.upstream import Upstream

MACHINES: Final = ("machine-1", "machine-1", "machine-2")
_LONGEST_REST_SECONDS: Final = 3.0


class Fleet:
    """Three workers; one that is gone comes back under its name, most often on its machine."""

    def __init__(
        self, kernel: Kernel, plan: Plan, broker: Broker, ledger: Any, upstream: Upstream, *,
        on_event: Callable[[Process, Event], object], on_ack: Callable[[Process, JobId, str], object],
    ) -> None:  # fmt: skip
        self.started = 0
        self.crashed = 0
        self._kernel = kernel
        self._plan = plan
        self._broker = broker
        self._shelf = Shelf(kernel)
        self._ledger = ledger
        self._upstream = upstream
        self._on_event = on_event
        self._on_ack = on_ack
        self._processes: dict[int, Process] = {}
        self._nodes: dict[int, Node] = {}

    def begin(self) -> None:
        """Start all of them."""
        for number in range(len(MACHINES)):
            self._start(number)

    def process(self, number: int) -> Process:
        """The process that a worker is now."""
        return self._processes[number]

    def ask_to_leave(self, number: int) -> None:
        """Send SIGTERM."""
        if number in self._nodes:
            self._nodes[number].leave()

    def stick(self, number: int, until: float) -> None:
        """Let a worker's loop not turn for a while; its other threads go on."""
        for fiber in self._kernel.fibers_of(self._processes[number]):
            if fiber.name == "holdfast-loop":
                fiber.stuck_until = until

    def _start(self, number: int) -> None:
        kernel = self._kernel
        is_at_home = kernel.random.random() < 0.8
        machine = MACHINES[number if is_at_home else number - 1]
        name = f"worker-{number + 1}"
        self._processes[number] = kernel.start_process(
            name, machine, lambda: self._live(number, name), lambda: self._end(number)
        )
        self.started += 1

    def _live(self, number: int, name: str) -> None:
        kernel = self._kernel
        process = kernel.here().process
        kernel.sleep(kernel.random.random() * _LONGEST_REST_SECONDS if self.started > len(MACHINES) else 0.0)
        node = Node(
            kernel, self._broker, self._ledger, self._shelf, self._upstream, name=name,
            unsure_limit_seconds=self._plan.unsure_limit_seconds,
            on_event=lambda event: self._on_event(process, event), on_ack=self._on_ack,
        )  # fmt: skip
        try:
            self._run(number, node)
        except PlatformError:
            # It starts neither without the ledger nor beside one of its name; whoever watches tries again.
            self._nodes.pop(number, None)
        self._nodes.pop(number, None)
        kernel.exit()

    def _run(self, number: int, node: Node) -> None:
        node.start()
        self._nodes[number] = node
        node.work()
        self.crashed -= 1

    def _end(self, number: int) -> None:
        self.crashed += 1
        node = self._nodes.pop(number, None)
        if node is not None:
            node.disconnect()
        self._start(number)
