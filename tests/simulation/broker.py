"""A broker that loses, doubles, delays and reorders rings, and may lose everything at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.jobs.ids import JobId
from holdfast.tests.simulation.fibers import Kernel, Process

LOSES = 0.05
DOUBLES = 0.15
DELAYS = 0.2
LONGEST_DELAY_SECONDS = 3.0


@dataclass(eq=False)
class Message:
    """A ring in the broker."""

    job_id: JobId


@dataclass(eq=False)
class Link:
    """A worker's connection to the broker."""

    process: Process
    wake: Callable[[], object]
    on_lost: Callable[[], object]
    unacked: list[Message] = field(default_factory=list)
    doubles: list[Message] = field(default_factory=list)
    """Old rings that come once more."""


class Broker:
    """Holds rings. `is_honest` ends its faults, for the calm at the end of a run."""

    def __init__(self, kernel: Kernel, on_loss: Callable[[JobId, str], object], *, loses: bool) -> None:
        self._loses = LOSES if loses else 0.0
        self._kernel = kernel
        self._on_loss = on_loss
        self._process = Process("broker", "broker", 0)
        self._waiting: list[Message] = []
        self._links: list[Link] = []
        self._coming: list[JobId] = []
        self.witness: str | None = None
        """The epoch that it remembers."""
        self.is_honest = False

    def connect(self, process: Process, wake: Callable[[], object], on_lost: Callable[[], object]) -> Link:
        """A worker consumes; `wake` tells it of new rings, `on_lost` that the connection broke."""
        link = Link(process, wake, on_lost)
        self._links.append(link)
        return link

    def send(self, process: Process, job_ids: list[JobId]) -> None:
        """Take rings from a process; those on their way are lost if it dies."""
        for job_id in job_ids:
            chance = self._kernel.random.random
            if not self.is_honest and chance() < self._loses:
                self._on_loss(job_id, "lost on the way")
                continue
            for _ in range(2 if not self.is_honest and chance() < DOUBLES else 1):
                self._coming.append(job_id)
                late = not self.is_honest and chance() < DELAYS
                delay = chance() * LONGEST_DELAY_SECONDS if late else 0.0
                self._kernel.spawn(self._process, "ring", self._arrival(process, job_id, delay))

    def put(self, job_id: JobId) -> None:
        """Have a ring now."""
        self._waiting.append(Message(job_id))
        for link in self._links:
            link.wake()

    def double(self, job_id: JobId) -> None:
        """Deliver an old ring to every worker."""
        for link in self._links:
            link.doubles.append(Message(job_id))
            link.wake()

    def take(self, link: Link) -> Message | None:
        """Deliver one of the rings, any one."""
        line = link.doubles or self._waiting
        if not line:
            return None
        message = line.pop(int(self._kernel.random.random() * len(line)))
        link.unacked.append(message)
        return message

    def ack(self, link: Link, message: Message) -> bool:
        """Forget a ring; False if the connection is another one by now."""
        if link not in self._links or message not in link.unacked:
            return False
        link.unacked.remove(message)
        return True

    def requeue(self, link: Link, message: Message) -> None:
        """Take a ring back."""
        if self.ack(link, message):
            self.put(message.job_id)

    def leave(self, link: Link) -> None:
        """A worker is gone: what it held unacknowledged comes back, or is lost, as on Redis."""
        if link not in self._links:
            return
        self._links.remove(link)
        for message in link.unacked:
            if self._kernel.random.random() < 0.5:
                self.put(message.job_id)
            else:
                self._on_loss(message.job_id, "lost with its worker")

    def lose_everything(self) -> None:
        """Start again from nothing."""
        links, self._links = self._links, []
        for message in (*self._waiting, *(one for link in links for one in link.unacked)):
            self._on_loss(message.job_id, "lost with the broker")
        self._waiting.clear()
        self.witness = None
        for link in links:
            link.on_lost()

    def has_ring(self, job_id: JobId) -> bool:
        """Whether a ring for this job is anywhere between its sender and the claim."""
        held = (message.job_id for link in self._links for message in link.unacked)
        return job_id in self._coming or job_id in held or any(one.job_id == job_id for one in self._waiting)

    def _arrival(self, process: Process, job_id: JobId, delay: float) -> Callable[[], None]:
        def arrive() -> None:
            self._kernel.sleep(delay)
            self._coming.remove(job_id)
            if process.is_alive:
                self.put(job_id)
            else:
                self._on_loss(job_id, "lost with its sender")

        return arrive


class Bell:
    """What the stager rings through: never blocks, promises nothing."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    def ring(self, rings: Any) -> None:
        self._broker.send(self._process, [ring.job_id for ring in rings])

    def close(self, timeout_seconds: float = 0.0) -> None:
        """Send nothing more."""


class EpochLine:
    """The epoch watch's way to the broker: application, connection and witness in one."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def connection_for_write(self, **_: object) -> "EpochLine":
        return self

    def ensure_connection(self, **_: object) -> None:
        """Be connected."""

    def release(self) -> None:
        """Be released."""

    def remembers(self, connection: object, epoch: str) -> bool:
        return self._broker.witness == epoch

    def remember(self, connection: object, epoch: str) -> None:
        self._broker.witness = epoch
