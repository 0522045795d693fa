"""A task that calls an upstream over HTTP, as agent jobs do; named by HOLDFAST_TASK_MODULES."""

import asyncio

from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.guard.call_retry import CallRetry
from holdfast.resilience.guard.guard import Guard
from holdfast.tasks.task import task
from holdfast.tests.support.processes import LOOPBACK

_OK = 200
GUARD = Guard(
    "sick",
    # Probed every three seconds, as a probe is cheap here; and opened by ten, as few call at one time.
    breaker=BreakerPolicy(
        streak=10,
        open_seconds=3.0,
        longest_open_seconds=3.0,
        least_rate=2.0,
        quick_growth_percent=150,
        cut_percent=85,
    ),
    retry=CallRetry(is_idempotent=True),
    timeout_seconds=2.0,
)


class Refused(Exception):
    """The upstream answered, and not what was asked for."""

    def __init__(self, status_code: int, headers: dict[str, str]) -> None:
        super().__init__(f"HTTP {status_code}")
        self.status_code = status_code
        self.headers = headers


@task(name="upstream.ask", upstreams=["sick"])
async def ask(port: int) -> int:
    """Ask the upstream on a port of this machine."""
    return await GUARD.acall(_get, port)


async def _get(port: int) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: upstream\r\n\r\n")
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.close()
    first, *lines = head.split("\r\n")
    status = int(first.split()[1])
    if status != _OK:
        raise Refused(status, dict(line.split(": ", 1) for line in lines if line))
    return status
