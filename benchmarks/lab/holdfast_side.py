"""Holdfast: every guarantee on, as it is installed; on PostgreSQL and on SQLite."""

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from holdfast.tasks.task import task
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.servers import PostgresServer, RedisServer
from lab import handlers
from lab.side import Job, Kind, Side, arguments
from lab.stamps import stamp

_SLOTS = {"noop": 200, "work": 50, "wait": 1000}


@task(name="lab.noop")
async def noop(path: str, number: int) -> int:
    """Do nothing."""
    return handlers.noop(path, number)


@task(name="lab.work")
def work(path: str, number: int, text: str) -> int:
    """Use CPU, on a thread."""
    return handlers.work(path, number, text)


@task(name="lab.wait")
async def wait(path: str, number: int) -> int:
    """Wait as an agent job does, holding nothing."""
    stamp(path, number)
    await asyncio.sleep(handlers.WAIT_SECONDS)
    return number


_TASKS = {"noop": noop, "work": work, "wait": wait}


class HoldfastSide(Side):
    """What both ledgers have in common."""

    scale = 1.0
    _made: Platform
    _redis: RedisServer

    def start_worker(self, kind: Kind, processes: int) -> None:
        """Start them as `holdfast worker` does, each with its companion."""
        for number in range(processes):
            worker = self._made.worker(
                name=f"lab-{number}@%h", worker_slots=_SLOTS[kind], task_modules="lab.holdfast_side",
                beat_seconds=5.0, lease_seconds=20.0, sweep_seconds=1.0, leader_seconds=10.0,
                log_level="warning",
            )  # fmt: skip
            self.workers.append(worker.pid)

    def enqueue(self, kind: Kind, job: Job) -> None:
        """Commit one row, ring once."""
        _TASKS[kind].enqueue_sync(*arguments(kind, job))

    def enqueue_many(self, kind: Kind, jobs: Sequence[Job], delay_seconds: float = 0.0) -> None:
        """Commit all rows in one transaction."""
        chosen = _TASKS[kind].options(delay_seconds=delay_seconds)
        chosen.enqueue_many_sync([arguments(kind, job) for job in jobs])

    def ask(self, job: Job) -> None:
        """Wait for the result."""
        noop.enqueue_sync(*job).result_sync(timeout_seconds=30)

    @contextlib.contextmanager
    def _on(self, database_url: str) -> Iterator[None]:
        with (
            RedisServer(appendonly=True, options=("--appendfsync", "everysec")) as self._redis,
            platform(self.folder, broker_url=self._redis.url, database_url=database_url) as self._made,
        ):
            yield

    @property
    @abstractmethod
    def servers(self) -> Sequence[int]:
        """The server processes behind it."""


class OnPostgres(HoldfastSide):
    """With PostgreSQL as ledger."""

    name = "Holdfast, PostgreSQL"
    settings: ClassVar = {
        "ledger": "PostgreSQL, fsync on, synchronous_commit on",
        "broker": "Redis, AOF everysec",
        "worker": "asyncio pool, 200 slots, leases of 20 s, attempts and moments kept",
    }
    _postgres: PostgresServer

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Start both servers."""
        with PostgresServer(fsync=True) as self._postgres, self._on(self._postgres.url_of("postgres")):
            yield

    @property
    def servers(self) -> Sequence[int]:
        """PostgreSQL and Redis."""
        return (self._postgres.pid, self._redis.pid)


class OnSqlite(HoldfastSide):
    """With SQLite as ledger."""

    name = "Holdfast, SQLite"
    settings: ClassVar = {
        "ledger": "SQLite, WAL, synchronous FULL",
        "broker": "Redis, AOF everysec",
        "worker": "asyncio pool, 200 slots, leases of 20 s, attempts and moments kept",
    }

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Start the broker."""
        with self._on(f"sqlite:///{Path(self.folder) / 'ledger.db'}"):
            yield

    @property
    def servers(self) -> Sequence[int]:
        """Redis alone."""
        return (self._redis.pid,)
