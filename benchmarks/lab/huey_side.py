"""Huey, the fastest Python queue that was found; it forgets what a dead worker had taken."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

PEERS = Path(sys.prefix) / "peers"
if PEERS.exists():
    sys.path.append(str(PEERS))

from huey import RedisHuey  # noqa: E402 -- found only after the line before
from huey.api import TaskWrapper  # noqa: E402 -- the same

from holdfast.tests.support.servers import RedisServer  # noqa: E402 -- the same
from lab import handlers  # noqa: E402 -- the same
from lab.side import Job, Kind, Side, arguments, end  # noqa: E402 -- the same

ADDRESS = "LAB_HUEY_URL"
_WORKERS = {"noop": ("process", 2), "work": ("process", 2), "wait": ("thread", 200)}


def make_huey(address: str) -> tuple[RedisHuey, dict[str, TaskWrapper]]:
    """Make the queue of workers and producers, and its tasks."""
    huey = RedisHuey("lab", url=address)
    wrap = {
        handler.__name__: huey.task(name=handler.__name__)(handler)
        for handler in (handlers.noop, handlers.work, handlers.wait)
    }
    return huey, wrap


HUEY, _TASKS = make_huey(os.environ.get(ADDRESS, "redis://"))
"""What its consumer finds."""


class HueySide(Side):
    """Huey on Redis, a process per core; threads where jobs wait."""

    name = "Huey"
    settings: ClassVar = {
        "broker and results": "Redis, AOF everysec; what a worker has taken is nowhere else",
        "worker": "2 processes, for W4 200 threads; looks for delayed jobs once a second",
    }
    scale = 0.4
    _redis: RedisServer
    _stack: contextlib.ExitStack
    _tasks: dict[str, TaskWrapper]

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Start a Redis, and end the workers at the end."""
        with (
            RedisServer(appendonly=True, options=("--appendfsync", "everysec")) as self._redis,
            contextlib.ExitStack() as self._stack,
        ):
            _, self._tasks = make_huey(self._redis.url)
            yield

    def start_worker(self, kind: Kind, processes: int) -> None:
        """Start its consumer."""
        worker_type, threads = _WORKERS[kind]
        size = processes if worker_type == "process" else threads
        log = self.folder / "huey.log"
        command = [sys.executable, "-m", "huey.bin.huey_consumer", "lab.huey_side.HUEY",
                   "-k", worker_type, "-w", str(size), "-l", str(log)]  # fmt: skip
        paths = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(PEERS)])
        process = subprocess.Popen(
            command, env={**os.environ, ADDRESS: self._redis.url, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(end, process)
        began = self.folder / "huey-began"
        self._tasks["noop"](str(began), 0)
        while not began.exists():
            time.sleep(0.05)  # noqa: TID251 -- it has no sign of being ready but a job done
        self.workers.append(process.pid)

    def enqueue(self, kind: Kind, job: Job) -> None:
        """Push one message."""
        self._tasks[kind](*arguments(kind, job))

    def enqueue_many(self, kind: Kind, jobs: Sequence[Job], delay_seconds: float = 0.0) -> None:
        """Push them one after the other: it has no call for many."""
        for job in jobs:
            if delay_seconds:
                self._tasks[kind].schedule(arguments(kind, job), delay=delay_seconds)
            else:
                self._tasks[kind](*arguments(kind, job))

    def ask(self, job: Job) -> None:
        """Wait for the result, looking every 2 ms."""
        self._tasks["noop"](*job).get(blocking=True, timeout=30, backoff=1, max_delay=0.002)

    @property
    def servers(self) -> Sequence[int]:
        """Redis."""
        return (self._redis.pid,)
