"""A task that calls as `webhook` does, in a process of its own."""

import httpx

from holdfast.tasks.agents.webhook.jobs import OUTBOUND
from holdfast.tasks.outbound import Call
from holdfast.tasks.task import task


@task(name="outbound.apart", isolated=True)
async def apart(url: str) -> int:
    """Return the status of the answer."""
    answer = await OUTBOUND.call(Call("GET", httpx.URL(url)), seconds=10.0, largest_bytes=100)
    return answer.status
