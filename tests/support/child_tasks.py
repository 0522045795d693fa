"""Tasks that have children, and their children."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from holdfast import Cancel, RetryPolicy, TaskContext, task
from holdfast.tasks.parent import Policy

starts: Counter[str] = Counter()
"""How often each handler began, by what it was called with."""
chosen: dict[str, Any] = {}
"""The options of the child of `with_options`."""


@task(name="family.same")
async def same(text: str) -> str:
    """Return the text."""
    return text


@task(name="family.double")
async def double(number: int) -> int:
    """Return twice the number; 13 fails for good, 14 cancels itself."""
    starts[f"double {number}"] += 1
    if number == 13:
        raise ValueError("thirteen")
    if number == 14:
        raise Cancel("fourteen")
    return 2 * number


@task(name="family.shout")
def shout(word: str) -> str:
    """Return it louder, on a thread."""
    return word.upper()


@task(name="family.doubles")
async def doubles(ctx: TaskContext, numbers: list[int], on_failure: Policy = "all") -> object:
    """Double all, by as many children."""
    starts["doubles"] += 1
    calls = [(number,) for number in numbers]
    match on_failure:
        case "all":
            return await ctx.map(double, calls)
        case "any":
            return await ctx.map(double, calls, on_failure="any")
        case "collect":
            return await ctx.map(double, calls, on_failure="collect")


@task(name="family.doubles_on_a_thread")
def doubles_on_a_thread(ctx: TaskContext, numbers: list[int]) -> list[int]:
    """Do the same in a `def` handler."""
    first = ctx.spawn_sync(double, numbers[0])
    rest = ctx.map_sync(double, [(number,) for number in numbers[1:]])
    return [*ctx.gather_sync(first), *rest]


@task(name="family.mixed")
async def mixed(ctx: TaskContext, number: int, word: str) -> tuple[int, str]:
    """Wait for two children of different kinds."""
    starts["mixed"] += 1
    twice, loud = await ctx.spawn(double, number), await ctx.spawn(shout, word)
    return await ctx.gather(twice, loud)


@task(name="family.sum")
async def total(ctx: TaskContext, numbers: list[int]) -> int:
    """Sum by halves: children of children."""
    if len(numbers) < 2:
        return sum(numbers)
    middle = len(numbers) // 2
    return sum(await ctx.map(total, [(numbers[:middle],), (numbers[middle:],)]))


@task(name="family.fickle", retry=RetryPolicy(max_attempts=3, base_seconds=0))
async def fickle(ctx: TaskContext) -> Sequence[int]:
    """Plan something else each time it begins."""
    starts["fickle"] += 1
    return await ctx.map(double, [(starts["fickle"],)])


@task(name="family.lets_go")
async def lets_go(ctx: TaskContext, number: int) -> str:
    """Start a child, and wait for nobody."""
    return (await ctx.spawn(double.options(queue="elsewhere", priority=2), number)).id


@task(name="family.twice")
async def twice(ctx: TaskContext, numbers: list[int]) -> list[int]:
    """Wait twice, one after the other, by names."""
    once = await ctx.map(double, [(number,) for number in numbers], name="first")
    return await ctx.map(double, [(number,) for number in once], name="second")


@task(name="family.with_options")
async def with_options(ctx: TaskContext) -> None:
    """Start a child with the chosen options."""
    await ctx.spawn(double.options(**chosen), 1)


@task(name="family.plus")
async def plus(number: int, other: int = 1) -> int:
    """Add."""
    return number + other


@task(name="family.count_up")
async def count_up(ctx: TaskContext, folder: str, count: int) -> list[int]:
    """Double the numbers from 0, and leave a mark whenever the wait is over."""
    found = await ctx.map(mark_and_double, [(folder, number) for number in range(count)])
    (Path(folder) / f"over-{ctx.job.generation}-{ctx.attempt}-{uuid4().hex}").touch()
    return found


@task(name="family.mark_and_double", retry=RetryPolicy(max_attempts=3, base_seconds=0.05))
async def mark_and_double(folder: str, number: int) -> int:
    """Double, and leave a mark at the end."""
    await asyncio.sleep(0.01)
    with (Path(folder) / f"ends-{os.getpid()}").open("a", encoding="utf-8") as file:
        file.write(f"{number}\n")
    return 2 * number


@task(name="family.brood")
async def brood(ctx: TaskContext, folder: str, count: int) -> list[None]:
    """Wait for children that end when somebody says so."""
    return await ctx.map(until_told, [(folder, number) for number in range(count)])


@task(name="family.until_told")
async def until_told(folder: str, number: int) -> None:
    """Leave a mark, and wait for a word."""
    (Path(folder) / f"began-{number}").touch()
    while not (Path(folder) / "go").exists():
        await asyncio.sleep(0.05)


@task(name="family.in_turn", concurrency=2, per="tenant")
async def in_turn(folder: str, number: int) -> int:
    """Leave marks at begin and end, with the time."""
    with (Path(folder) / f"turns-{os.getpid()}").open("a", encoding="utf-8") as file:
        file.write(f"{time.monotonic()} 1 {number}\n")
        file.flush()
        await asyncio.sleep(0.05)
        file.write(f"{time.monotonic()} -1 {number}\n")
    return number
