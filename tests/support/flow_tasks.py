"""Tasks that take a slot for a while, and do nothing else."""

import asyncio

from holdfast import task


@task(name="flow.nap")
async def nap(seconds: float) -> None:
    """Take a slot for so long."""
    await asyncio.sleep(seconds)
