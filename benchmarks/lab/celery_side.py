"""Bare Celery with the settings that lose least: acknowledged late, rejected when the worker is lost."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import ClassVar

from celery import Celery

from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until
from lab import handlers
from lab.side import Job, Kind, Side, arguments, end

ADDRESS = "LAB_BROKER_URL"
_POOLS = {"noop": ("prefork", 2), "work": ("prefork", 2), "wait": ("threads", 200)}


def make_app(address: str) -> Celery:
    """Make the application of workers and producers."""
    app = Celery("lab", broker=address, backend=address, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
    )
    for handler in (handlers.noop, handlers.work, handlers.wait):
        app.task(name=f"lab.{handler.__name__}")(handler)
    app.finalize()
    return app


APP = make_app(os.environ.get(ADDRESS, "redis://"))
"""What `celery -A` finds."""


class CelerySide(Side):
    """Celery on Redis, prefork with a process per core; threads where jobs wait."""

    name = "Celery, safe settings"
    settings: ClassVar = {
        "broker and results": "Redis, AOF everysec",
        "worker": "acks_late, reject_on_worker_lost, prefetch 1; prefork of 2, for W4 200 threads",
    }
    scale = 0.12
    _redis: RedisServer
    _app: Celery
    _stack: contextlib.ExitStack

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Start a Redis, and end the workers at the end."""
        with (
            RedisServer(appendonly=True, options=("--appendfsync", "everysec")) as self._redis,
            contextlib.ExitStack() as self._stack,
        ):
            self._app = make_app(self._redis.url)
            self._stack.callback(self._app.close)
            yield

    def start_worker(self, kind: Kind, processes: int) -> None:
        """Start one node; its pool has `processes` processes, or threads where jobs wait."""
        pool, threads = _POOLS[kind]
        size = processes if pool == "prefork" else threads
        command = [sys.executable, "-m", "celery", "-A", "lab.celery_side:APP", "worker", "-P", pool,
                   "-c", str(size), "-l", "WARNING", "--without-gossip", "--without-mingle"]  # fmt: skip
        process = subprocess.Popen(
            command, env={**os.environ, ADDRESS: self._redis.url},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(end, process)
        until(lambda: bool(self._app.control.ping(timeout=0.5)), timeout_seconds=60, what="a Celery worker")
        self.workers.append(process.pid)

    def enqueue(self, kind: Kind, job: Job) -> None:
        """Publish one message."""
        self._app.tasks[f"lab.{kind}"].apply_async(arguments(kind, job))

    def enqueue_many(self, kind: Kind, jobs: Sequence[Job], delay_seconds: float = 0.0) -> None:
        """Publish them through one producer: it has no call for many."""
        with self._app.producer_or_acquire() as producer:
            for job in jobs:
                self._app.tasks[f"lab.{kind}"].apply_async(
                    arguments(kind, job), countdown=delay_seconds or None, producer=producer
                )

    def ask(self, job: Job) -> None:
        """Wait for the result."""
        self._app.tasks["lab.noop"].apply_async(job).get(timeout=30, interval=0.002)

    @property
    def servers(self) -> Sequence[int]:
        """Redis."""
        return (self._redis.pid,)
