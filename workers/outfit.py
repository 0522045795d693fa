"""What a worker is put together from, and what it asks of Celery's consumer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from celery import Celery

from holdfast.jobs.clock import Clock
from holdfast.jobs.events import Events
from holdfast.ledger import Ledger
from holdfast.tasks.doorbell import Doorbell
from holdfast.tasks.registry import Registry
from holdfast.workers.companion.beat import Companion
from holdfast.workers.executor import Aids
from holdfast.workers.intake import Adopter, Intake
from holdfast.workers.isolated.lane import Lane
from holdfast.workers.probes import Probes
from holdfast.workers.services.service import ServiceThread
from holdfast.workers.spool.folder import Folder
from holdfast.workers.upstreams import NO_UPSTREAMS, Upstreams


@dataclass(frozen=True, slots=True)
class Outfit:
    """What a worker is given: the parts that the composition root made."""

    app: Celery
    ledger: Ledger
    doorbell: Doorbell
    registry: Registry
    events: Events
    clock: Clock
    adopter: Adopter
    intake: Intake | None
    services: Callable[[Any], list[ServiceThread]]
    """Made for a worker (its `Runtime`) when it starts."""
    probes: Callable[[Any], Probes]
    """Made for a worker (its `Runtime`) with its other parts."""
    leave: Callable[[int], object] = bool
    """Called last: sees to it that the process ends, with this exit code."""
    ask_to_stop: Callable[[int], object] = bool
    """Lets the main thread come to `stop`, from any thread; the number is the process's exit code."""
    companion: Companion | None = None
    """None: the worker beats for itself, on a thread."""
    beats: Ledger | None = None
    """The same ledger on a connection of its own for that thread, which nothing else may hold up."""
    handlers: Ledger | None = None
    """The same ledger on connections of their own for handlers, which hold up no claim that way."""
    lane: Lane | None = None
    """None: jobs that run in isolated processes are left to other workers."""
    spool: Folder | None = None
    """None: outcomes that wait for the ledger die with the process."""
    upstreams: Upstreams = NO_UPSTREAMS
    """Which upstreams take calls; where nobody knows, a handler finds out by its first call."""

    @property
    def aids(self) -> Aids:
        """What its executor may have and can do without."""
        seats = self.companion.seats if self.companion is not None else None
        return Aids(seats, self.lane, self.upstreams)


class RingConsumer(Protocol):
    """What is asked of Celery's consumer; on the hub's thread."""

    def pause_rings(self) -> None:
        """Stop consuming rings."""

    def resume_rings(self) -> None:
        """Consume rings again."""
