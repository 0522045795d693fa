"""The cells: which faults there are, on which stacks, and within how many seconds all must be well again."""

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.tests.chaos import clock_faults, job_faults, server_faults, worker_faults
from holdfast.tests.chaos.scene import BOUND_SECONDS, Scene, Stack

STACKS = (Stack("postgresql", "redis"), Stack("postgresql", "rabbitmq"), Stack("sqlite", "redis"))
POSTGRESQL_ONLY = STACKS[:2]
ONE_CLOCK = "Not on SQLite: all its processes share the one clock of their machine."
RETURN = "The fault ends when a supervisor has brought the first worker up again."


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    play: Callable[[Scene], None]
    bound_seconds: float | None = BOUND_SECONDS
    """From the end of the fault to the last missing effect; None: the row says why nothing is bounded."""
    note: str = ""
    stacks: tuple[Stack, ...] = STACKS
    own_database: bool = False
    own_broker: bool = False
    durable_broker: bool = False
    is_idle: bool = False
    """Mostly waits: such cells have a lane of their own beside the busy ones."""

    @property
    def title(self) -> str:
        """What happens, in the words of its story."""
        return (self.play.__doc__ or "").strip()


@dataclass(frozen=True)
class Cell:
    """One fault on one stack, once more."""

    fault: Fault
    stack: Stack
    repetition: int

    @property
    def name(self) -> str:
        """Also the name of its file."""
        return f"{self.fault.name}-{self.stack.name}-{self.repetition}"


FAULTS = (
    Fault("F1", worker_faults.f1),
    Fault("F2", worker_faults.f2, note=RETURN),
    Fault("F2b", worker_faults.f2b, note=RETURN),
    Fault("F3", server_faults.f3, own_broker=True, durable_broker=True),
    Fault("F4", server_faults.f4, own_broker=True),
    Fault("F5", worker_faults.f5),
    Fault("F6", worker_faults.f6, is_idle=True),
    Fault(
        "F7",
        worker_faults.f7,
        bound_seconds=60.0,
        note="Counted from the start of the jobs; the pill must end as quarantined(poison) "
        "after at most six further crashes.",
    ),
    Fault("F8", job_faults.f8),
    Fault("F9", server_faults.f9, own_database=True),
    Fault("F10", job_faults.f10, note="500 jobs; the fault ends with the repetition."),
    Fault("F11", job_faults.f11, note="Counted from the time at which the jobs are due."),
    Fault("F12", worker_faults.f12, note="Counted from the SIGSTOP: the others may not wait for it to wake."),
    Fault(
        "F13",
        job_faults.f13,
        bound_seconds=None,
        note="Ten seconds are the best possible, and a ramp takes its time. Its handlers call through a "
        "guard; beside RabbitMQ the workers have a Redis for what they know of upstreams.",
        is_idle=True,
    ),
    Fault("F14", clock_faults.f14, stacks=POSTGRESQL_ONLY, note=ONE_CLOCK),
    Fault("F15", worker_faults.f15),
    Fault(
        "F15mem",
        worker_faults.f15mem,
        stacks=POSTGRESQL_ONLY,
        note="Not on SQLite: its driver for handlers has a thread per connection, and a handler whose "
        "thread died for want of memory waits for its time limit.",
    ),
    Fault(
        "F16",
        job_faults.f16,
        bound_seconds=None,
        note="10,000 jobs with outside effects only; the seconds are those of the whole backlog.",
    ),
    Fault("net-database", server_faults.net_database, stacks=POSTGRESQL_ONLY, is_idle=True),
    Fault("net-broker", server_faults.net_broker, is_idle=True),
    Fault("clock-behind", clock_faults.clock_behind, stacks=POSTGRESQL_ONLY, note=ONE_CLOCK),
    Fault("clock-ahead", clock_faults.clock_ahead, stacks=POSTGRESQL_ONLY, note=ONE_CLOCK),
    Fault("clock-jumps", clock_faults.clock_jumps, stacks=POSTGRESQL_ONLY, note=ONE_CLOCK),
)


def cells(repetitions: int) -> list[Cell]:
    """List every cell, all faults before the next stack, so that breadth comes first."""
    return [
        Cell(fault, stack, repetition)
        for repetition in range(1, repetitions + 1)
        for stack in STACKS
        for fault in FAULTS
        if stack in fault.stacks
    ]
