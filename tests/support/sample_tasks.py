"""Tasks for tests of the worker; named by HOLDFAST_TASK_MODULES."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from celery import shared_task

from holdfast.jobs import signals
from holdfast.jobs.errors import BreakerOpen
from holdfast.resilience.errand import current_errand
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.context import TaskContext
from holdfast.tasks.task import task

LEAKED: list[int] = []
HOARDED: list[bytes] = []
QUICK = RetryPolicy(max_attempts=3, base_seconds=0.05, cap_seconds=0.1)


@task(name="sample.echo")
async def echo(text: str) -> str:
    """Return what it was given."""
    return text


@task(name="sample.add")
def add(left: int, right: int) -> int:
    """Add on a thread."""
    return left + right


@task(name="sample.wait")
async def wait(seconds: float) -> float:
    """Wait as an agent job does: without holding anything."""
    await asyncio.sleep(seconds)
    return seconds


@task(name="sample.witness", retry=QUICK)
async def witness(ctx: TaskContext, folder: str, name: str, seconds: float = 0.0) -> int:
    """Leave a mark outside of the platform at the start and the end of each execution."""
    mark(Path(folder), f"{name}.start", f"{ctx.job.id} {ctx.attempt} {os.getpid()}")
    await asyncio.sleep(seconds)
    mark(Path(folder), f"{name}.end", f"{ctx.job.id} {ctx.attempt} {os.getpid()}")
    return os.getpid()


@task(name="sample.attend", retry=QUICK)
async def attend(ctx: TaskContext, folder: str, name: str) -> int:
    """Run from the first mark until somebody leaves the file `name.go`, then leave the last mark."""
    mark(Path(folder), f"{name}.start", f"{ctx.job.id} {ctx.attempt} {os.getpid()}")
    while not (Path(folder) / f"{name}.go").exists():
        await asyncio.sleep(0.05)
    mark(Path(folder), f"{name}.end", f"{ctx.job.id} {ctx.attempt} {os.getpid()}")
    return ctx.attempt


@task(name="sample.attend_on_thread", retry=QUICK)
def attend_on_thread(folder: str, name: str) -> None:
    """Do as `sample.attend` does, on a thread, which nobody can end."""
    mark(Path(folder), f"{name}.start", str(os.getpid()))
    while not (Path(folder) / f"{name}.go").exists():
        time.sleep(0.05)  # noqa: TID251 -- a thread waits as it can
    mark(Path(folder), f"{name}.end", str(os.getpid()))


@task(name="sample.leave_thread", isolated=True)
async def leave_thread(seconds: float) -> str:
    """End while a thread of its own goes on, as one does that waited long enough for a call."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(time.sleep, seconds), 0.1)  # noqa: TID251 -- the thread that is left
    return "left"


@task(name="sample.flaky", retry=QUICK)
async def flaky(ctx: TaskContext, good_attempt: int) -> int:
    """Fail for a transient reason until an attempt."""
    if ctx.attempt < good_attempt:
        raise ConnectionResetError(f"attempt {ctx.attempt} fails")
    return ctx.attempt


@task(name="sample.broken")
async def broken(message: str) -> None:
    """Fail for good."""
    raise ValueError(message) from TypeError("the cause")


@task(name="sample.snooze")
async def snooze(folder: str, seconds: float) -> str:
    """Snooze once, then end."""
    path = Path(folder) / "snoozed"
    if not path.exists():
        mark(Path(folder), "snoozed", "once")
        raise signals.Snooze(delay_seconds=seconds)
    return "rested"


@task(
    name="sample.slow", soft_timeout_seconds=0.2, hard_timeout_seconds=5.0, retry=RetryPolicy(max_attempts=1)
)
async def slow(seconds: float) -> None:
    """Run past its soft limit."""
    await asyncio.sleep(seconds)


@task(
    name="sample.stubborn",
    soft_timeout_seconds=0.2,
    hard_timeout_seconds=1.0,
    retry=RetryPolicy(max_attempts=1),
)
def stubborn(seconds: float) -> None:
    """Hold a thread past every limit."""
    time.sleep(seconds)  # noqa: TID251 -- a handler that no one can end is the point


@task(name="sample.reluctant")
async def reluctant(folder: str, name: str, seconds: float) -> None:
    """Take longer over its end than it was given: swallow a first cancellation and go on."""
    mark(Path(folder), f"{name}.start", str(os.getpid()))
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        mark(Path(folder), f"{name}.asked", str(os.getpid()))
        await asyncio.sleep(seconds)


@task(name="sample.leak")
async def leak() -> int:
    """Take every descriptor that the process may have, and keep it."""
    try:
        while True:
            LEAKED.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return len(LEAKED)


@task(name="sample.hoard")
async def hoard(megabytes: int) -> None:
    """Take memory, and keep it."""
    HOARDED.append(b"x" * (megabytes * 1_000_000))


@task(name="sample.progress")
async def progress(ctx: TaskContext, steps: int) -> int:
    """Tell of its progress."""
    for step in range(steps):
        await ctx.progress(step + 1, steps, f"step {step + 1}")
    return steps


@task(name="sample.saboteur")
async def saboteur(way: str) -> str:
    """Leave something behind that would end an event loop."""
    loop = asyncio.get_running_loop()
    if way == "stop":
        loop.call_later(0.05, loop.stop)
    else:
        loop.call_later(0.05, sys.exit, 3)
    return way


@task(name="sample.hold")
async def hold(seconds: int) -> int:
    """Keep the interpreter lock in a C call, as a catastrophic regular expression does."""
    ctypes.PyDLL(None).sleep(seconds)
    return seconds


@task(name="sample.block")
async def block(folder: str, name: str, seconds: float) -> None:
    """Hold the event loop."""
    mark(Path(folder), f"{name}.start", str(os.getpid()))
    time.sleep(seconds)  # noqa: ASYNC251, TID251 -- to block is the point


@task(name="sample.crash")
async def crash(folder: str, number: int) -> str:
    """Kill the process that runs this, the first time."""
    path = Path(folder) / "crashed"
    if not path.exists():
        mark(Path(folder), "crashed", str(os.getpid()))
        os.kill(os.getpid(), number)
    return "survived"


@task(name="sample.killer")
async def killer(folder: str, how: str, seconds: float = 0.0) -> None:
    """Be the death of the process, each time."""
    mark(Path(folder), "killer.start", str(os.getpid()))
    await asyncio.sleep(seconds)
    die(how)
    await asyncio.sleep(60.0)


@task(name="sample.killer_on_thread")
def killer_on_thread(folder: str, how: str, seconds: float = 0.0) -> None:
    """Do the same on a thread."""
    mark(Path(folder), "killer.start", str(os.getpid()))
    threading.Event().wait(seconds)
    die(how)


@task(name="sample.apart", isolated=True, retry=QUICK, hard_timeout_seconds=2.0)
def apart(folder: str, how: str = "") -> int:
    """Do in a process of its own what nobody may do in a worker."""
    mark(Path(folder), "apart.start", str(os.getpid()))
    match how:
        case "":
            pass
        case "spin":
            ctypes.PyDLL(None).sleep(600)
        case "helper":
            helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            mark(Path(folder), "apart.helper", str(helper.pid))
            helper.wait()
        case _:
            die(how)
    return os.getpid()


@task(name="sample.apart_for_a_while", isolated=True, retry=QUICK)
async def apart_for_a_while(
    ctx: TaskContext, folder: str, name: str, seconds: float, *, first: bool = False
) -> int:
    """Take a while in a process of its own; `first` completes the job beforehand, in its transaction."""
    mark(Path(folder), f"{name}.start", str(os.getpid()))
    if first:
        async with ctx.transaction() as session:
            ctx.complete(session, 7)
    await asyncio.sleep(seconds)
    mark(Path(folder), f"{name}.end", str(os.getpid()))
    return 7


@task(name="sample.ends_what_it_starts", isolated=True, retry=QUICK, hard_timeout_seconds=20.0)
def ends_what_it_starts() -> list[int]:
    """Start a program and a fork, and end both by SIGTERM; returns how they ended."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    fork = multiprocessing.get_context("fork").Process(target=threading.Event().wait)
    fork.start()
    program.terminate()
    fork.terminate()
    fork.join()
    return [program.wait(), fork.exitcode or 0]


@task(name="sample.hungry", isolated=True, memory_mb=512, retry=RetryPolicy(max_attempts=1))
async def hungry(ctx: TaskContext, megabytes: int) -> int:
    """Take memory, and use what a context offers."""
    await ctx.progress(1, 2, "about to eat")
    size = len(bytearray(megabytes * 1_000_000))
    async with ctx.transaction():
        pass
    (await echo.enqueue("from a child"))
    return size


@task(name="sample.call", retry=QUICK)
async def call(upstream: str) -> str:
    """Call an upstream that lets through only who brings a ticket."""
    return _shown(upstream)


@task(name="sample.call_on_thread", retry=QUICK)
def call_on_thread(upstream: str) -> str:
    """Do the same on a thread."""
    return _shown(upstream)


@task(name="sample.call_apart", retry=QUICK, isolated=True)
async def call_apart(upstream: str) -> str:
    """Do the same in a process of its own."""
    return _shown(upstream)


def _shown(upstream: str) -> str:
    errand = current_errand()
    ticket = None if errand is None else errand.tickets.pop(upstream, None)
    if ticket is None:
        raise BreakerOpen(upstream=upstream)
    return str(ticket)


def die(how: str) -> None:
    """End this process in one of the ways that handlers know."""
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "later":
            # Of a thread that nobody knows: the death names no job.
            threading.Timer(0.2, os.abort).start()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise ValueError(how)


@task(name="sample.secret")
async def secret(api_key: str) -> int:
    """Take a secret that must appear nowhere."""
    return len(api_key)


@shared_task(name="plain.multiply")
def multiply(left: int, right: int) -> int:
    """Run as a plain Celery task beside ours."""
    return left * right


@shared_task(name="plain.attend", acks_late=True)
def plain_attend(folder: str, name: str) -> str:
    """Do as `sample.attend` does, on a thread, its message unacknowledged until the end."""
    mark(Path(folder), f"{name}.start", str(os.getpid()))
    while not (Path(folder) / f"{name}.go").exists():
        time.sleep(0.05)  # noqa: TID251 -- a plain Celery task waits as it can
    mark(Path(folder), f"{name}.end", str(os.getpid()))
    return name


def mark(folder: Path, name: str, text: str) -> None:
    """Add a line to a file; one write, so lines of several processes do not mix."""
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)
