"""Brokers to be broken: the same faults, each in the words of Redis and of RabbitMQ.

A fault is a block: broken inside, mended after it. Clients reach the broker through a network
that breaks too. What a broker cannot have is its nearest equivalent, or is not in its table.
"""

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Final, Self

import amqp

from holdfast.tests.support.processes import LOOPBACK, Server
from holdfast.tests.support.proxy import Proxy
from holdfast.tests.support.rabbitmq import RabbitMQServer
from holdfast.tests.support.redis import RedisServer

Fault = Callable[[], AbstractContextManager[object]]

LOSES_DATA: Final = frozenset({"flushed", "wiped", "failed over"})
"""The faults after which the broker has forgotten every ring."""
_RINGS: Final = "holdfast.default"


class BreakableBroker(ABC):
    """A real broker of its own behind a network of its own; use it as a context manager."""

    def __init__(self, server: Server) -> None:
        """Take a server that is not started yet."""
        self.server = server
        self.network = Proxy(server.port)
        self._stack = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """The address that leads through the network."""
        return self.server.url.replace(str(self.server.port), str(self.network.port))

    def __enter__(self) -> Self:
        self._stack.enter_context(self.server)
        self._stack.enter_context(self.network)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    @property
    def faults(self) -> dict[str, Fault]:
        """What can be done to it, by name."""
        return {
            "restarted": self.restarted,
            "killed": self.killed,
            "wiped": self.wiped,
            "frozen": self.frozen,
            "silent": self.silent,
            "forgotten": self.forgotten,
            "refused": self.refused,
            "failed over": self.failed_over,
            "flushed": self.flushed,
            "clients killed": self.clients_killed,
            "full": self.full,
        }

    @contextlib.contextmanager
    def restarted(self) -> Generator[None]:
        """Stop in good order and start again."""
        self.server.restart()
        yield

    @contextlib.contextmanager
    def killed(self) -> Generator[None]:
        """SIGKILL, and a start with what it had on disk."""
        self.server.kill()
        yield
        self.server.start()

    @contextlib.contextmanager
    def wiped(self) -> Generator[None]:
        """SIGKILL, and a start on an empty disk."""
        self.server.kill()
        self.remove_data()
        yield
        self.server.start()

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """SIGSTOP and SIGCONT."""
        self.server.pause()
        yield
        self.server.resume()

    @contextlib.contextmanager
    def silent(self) -> Generator[None]:
        """Packets vanish, and arrive late when the network heals."""
        self.network.silence()
        yield
        self.network.heal()

    @contextlib.contextmanager
    def forgotten(self) -> Generator[None]:
        """Packets vanish, and connections of before never hear anything again."""
        self.network.silence()
        yield
        self.network.heal(forgets=True)

    @contextlib.contextmanager
    def refused(self) -> Generator[None]:
        """Every connection ends with a reset, and every new one too."""
        self.network.refuse()
        yield
        self.network.heal()

    @contextlib.contextmanager
    def failed_over(self) -> Generator[None]:
        """SIGKILL, and another server without data takes the address."""
        self.server.kill()
        yield
        self.server = self._stack.enter_context(self.twin())
        self.network.aim(self.server.port)

    @contextlib.contextmanager
    def flushed(self) -> Generator[None]:
        """Everything that it held is gone, while it goes on serving."""
        self.flush()
        yield

    @contextlib.contextmanager
    def clients_killed(self) -> Generator[None]:
        """It ends every connection of its own accord."""
        self.kill_clients()
        yield

    @contextlib.contextmanager
    def full(self) -> Generator[None]:
        """It is out of memory and takes no more messages."""
        self.set_memory(enough=False)
        yield
        self.set_memory(enough=True)

    def settle_down(self) -> None:  # noqa: B027 -- nothing to do is the usual case
        """Have what was declared a moment ago on disk, so that a kill cannot undo it."""

    @abstractmethod
    def twin(self) -> Server:
        """Make another, empty server."""

    @abstractmethod
    def remove_data(self) -> None:
        """Remove what the server, which is down, has on disk."""

    @abstractmethod
    def flush(self) -> None:
        """Remove what it holds."""

    @abstractmethod
    def kill_clients(self) -> None:
        """End every connection."""

    @abstractmethod
    def set_memory(self, *, enough: bool) -> None:
        """Let it have enough memory, or less than it uses."""

    @abstractmethod
    def rings(self) -> int:
        """Count the rings that wait in the default queue."""


class BreakableRedis(BreakableBroker):
    """A Redis that writes each command to disk."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__(RedisServer(appendonly=True))

    @property
    def faults(self) -> dict[str, Fault]:
        """Redis can be a replica, too, which takes no writes."""
        return {**super().faults, "read only": self.read_only}

    @contextlib.contextmanager
    def read_only(self) -> Generator[None]:
        """It became the replica of a server that is gone: writes answer READONLY."""
        self._order("REPLICAOF", LOOPBACK, 1)
        yield
        self._order("REPLICAOF", "NO", "ONE")

    def twin(self) -> RedisServer:
        """Make another, empty one."""
        return RedisServer(appendonly=True)

    def remove_data(self) -> None:
        """Remove the append-only files."""
        shutil.rmtree(self.server.folder / "appendonlydir")

    def flush(self) -> None:
        """FLUSHALL."""
        self._order("FLUSHALL")

    def kill_clients(self) -> None:
        """CLIENT KILL, those that subscribe too."""
        self._order("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self._order("CLIENT", "KILL", "TYPE", "pubsub")

    def set_memory(self, *, enough: bool) -> None:
        """With noeviction, writes then answer OOM."""
        self._order("CONFIG", "SET", "maxmemory", 0 if enough else 1)

    def rings(self) -> int:
        """Ask for the list's length."""
        with self.server.client() as client:
            return int(client.llen(_RINGS))  # type: ignore[arg-type]  # the stubs know the asynchronous answer

    def _order(self, *words: object) -> None:
        with self.server.client() as client:
            client.execute_command(*words)


class BreakableRabbitMQ(BreakableBroker):
    """A RabbitMQ node. It cannot be read-only; a memory alarm is what stops writes."""

    server: RabbitMQServer

    def __init__(self) -> None:
        super().__init__(RabbitMQServer())

    def settle_down(self) -> None:
        """A node that is killed right after a declaration may forget the queue, or half of it."""
        self.server.restart()

    def twin(self) -> RabbitMQServer:
        """Make another, empty node."""
        return RabbitMQServer()

    def remove_data(self) -> None:
        """Remove the database and the logs of the quorum queues."""
        shutil.rmtree(self.server.folder / "mnesia")

    def flush(self) -> None:
        """Delete every queue, the witness of the epoch among them."""
        listed = self.server.control("list_queues", "-q", "--no-table-headers", "name", "exclusive")
        with amqp.Connection(f"{LOOPBACK}:{self.server.port}") as connection:
            for line in listed.splitlines():
                name, is_exclusive = line.split("\t")
                if is_exclusive == "false":  # the others belong to a connection
                    connection.channel().queue_delete(name)

    def kill_clients(self) -> None:
        """The node closes all connections, saying so."""
        self.server.control("close_all_connections", "test")

    def set_memory(self, *, enough: bool) -> None:
        """A memory alarm blocks the connections of publishers."""
        self.server.control("set_vm_memory_high_watermark", *(("absolute", "512MB") if enough else ("0",)))

    def rings(self) -> int:
        """Ask for the queue's ready messages."""
        with amqp.Connection(f"{LOOPBACK}:{self.server.port}") as connection:
            _, waiting, _ = connection.channel().queue_declare(_RINGS, passive=True) or ("", 0, 0)
            return int(waiting)
