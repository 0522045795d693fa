"""What a worker finds around it: threads, chance, clocks and pids, played by the simulation.

Only what the production modules import from outside is replaced, never a
part of theirs.
"""

import asyncio
import concurrent.futures._base as futures_module
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from holdfast.jobs import ids as ids_module
from holdfast.ledger import identity as identity_module
from holdfast.ledger import transaction as transaction_module
from holdfast.tasks import waiting as waiting_module
from holdfast.tests.simulation import threads
from holdfast.tests.simulation.event_loop import SimulatedLoop
from holdfast.tests.simulation.fibers import Kernel
from holdfast.workers import beat as beat_module
from holdfast.workers import census as census_module
from holdfast.workers import drain as drain_module
from holdfast.workers import executor as executor_module
from holdfast.workers import gate as gate_module
from holdfast.workers import loop as loop_module
from holdfast.workers import registration as registration_module
from holdfast.workers import runtime as runtime_module
from holdfast.workers import strays as strays_module
from holdfast.workers import threads as threads_module
from holdfast.workers import writer as writer_module
from holdfast.workers.census import Birth
from holdfast.workers.services import service as service_module
from holdfast.workers.spool import outcomes as outcomes_module

_USE_THREADS = (
    beat_module, drain_module, loop_module, outcomes_module, registration_module, runtime_module,
    service_module, strays_module, threads_module, writer_module, futures_module,
)  # fmt: skip
_USE_CHANCE = (executor_module, gate_module, transaction_module, waiting_module)
_USE_SECRETS = (ids_module, identity_module)


@contextmanager
def surroundings(kernel: Kernel) -> Iterator[None]:
    """Play all of it for the length of a block."""
    secrets = SimpleNamespace(
        token_hex=lambda size: f"{kernel.random.getrandbits(8 * size):0{2 * size}x}",
        randbits=kernel.random.getrandbits,
    )

    def start_of(pid: int) -> str | None:
        here = kernel.here().process
        there = next((one for one in kernel.processes if one.pid == pid), None)
        if there is None or there.machine != here.machine or not there.is_alive:
            return None
        return there.marker

    def birth_of_self() -> Birth:
        here = kernel.here().process
        return Birth(here.machine, here.pid, here.marker)

    with ExitStack() as stack:
        replace = lambda module, name, value: stack.enter_context(patch.object(module, name, value))  # noqa: E731 -- one word for thirteen lines
        stack.enter_context(_running(kernel))
        for module in _USE_THREADS:
            replace(module, "threading", threads)
        for module in _USE_CHANCE:
            replace(module, "random_fraction", kernel.random.random)
        for module in _USE_SECRETS:
            replace(module, "secrets", secrets)
        replace(transaction_module, "monotonic", lambda: kernel.now)
        replace(asyncio, "new_event_loop", SimulatedLoop)
        replace(asyncio, "set_event_loop", bool)
        replace(census_module, "_start_of", start_of)
        replace(runtime_module, "birth_of_self", birth_of_self)
        # The watch over a blocked loop is no part of the protocol, and turns often.
        replace(loop_module, "TICK_SECONDS", 5.0)
        replace(loop_module, "BLOCKED_SECONDS", 100.0)
        replace(service_module, "_LONGEST_WAIT", 0.5)
        yield


@contextmanager
def _running(kernel: Kernel) -> Iterator[None]:
    Kernel.running = kernel
    try:
        yield
    finally:
        del Kernel.running
