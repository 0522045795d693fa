"""The jobs of a run: twenty requests, each of a part that somebody's promise hangs on."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from holdfast.jobs import signals
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import NewJob
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks.context import TaskContext
from holdfast.tasks.registry import Registry
from holdfast.tasks.task import task
from holdfast.tests.simulation.fibers import Kernel

PLAY: Final = "simulation.play"
LIMITED: Final = "simulation.limited"
MOST_LIMITED: Final = 2
NOT_OFFERED: Final = "simulation.nobody_offers_this"
TENANTS: Final = (None, "a", "b")
POLICY: Final = RetryPolicy(max_attempts=3, base_seconds=0.5, cap_seconds=1.0, unknown_attempts=2)
REGISTRY: Final = Registry()
COLLECTED: Final = ("long", "doomed", "long")
"""The children of `collects`; the one in the middle is requeued while the others may still run."""
_LONG_SECONDS: Final = 6.0


class Stage(Protocol):
    """What a handler finds outside of the ledger."""

    random: Random
    approved: set[str]
    """Parked jobs whose event has happened."""
    seen: set[str]
    """Jobs that were here before."""

    def ask_for_approval(self, job_id: JobId, seconds: float) -> None:
        """Let somebody approve it after a while."""
        ...

    def call(self) -> None:
        """Call the upstream. Raises BreakerOpen."""
        ...

    def handler_began(self, job_id: str, token: str) -> None:
        """Note which process runs a handler."""
        ...

    def handler_ended(self, job_id: str, token: str) -> None:
        """Note that it has ended."""
        ...


@task(name=PLAY, retry=POLICY, registry=REGISTRY)
async def play(ctx: TaskContext, part: str) -> str:
    """Play one part."""
    stage: Stage = Kernel.running.stage
    token = ctx._lease.token  # noqa: SLF001 -- the judge tells attempts apart by their tokens
    stage.handler_began(ctx.job.id, token)
    try:
        await asyncio.sleep(stage.random.random() * 0.5)
        await _PARTS[part](ctx, stage)
    finally:
        stage.handler_ended(ctx.job.id, token)
    return f"{part} of {ctx.job.id}"


@task(name=LIMITED, retry=POLICY, registry=REGISTRY, concurrency=MOST_LIMITED)
async def limited(ctx: TaskContext, part: str) -> str:
    """Play a part of which only so many may be played at once."""
    result: str = await play(ctx, part)
    return result


async def _work(ctx: TaskContext, stage: Stage) -> None:
    await asyncio.sleep(stage.random.random() * 2.0)


async def _long(ctx: TaskContext, stage: Stage) -> None:
    for part in range(4):
        await asyncio.sleep(stage.random.random() * _LONG_SECONDS / 2)
        await ctx.progress(part, 4)


async def _tidy(ctx: TaskContext, stage: Stage) -> None:
    try:
        await asyncio.sleep(_LONG_SECONDS)
    finally:
        await asyncio.sleep(stage.random.random() * 0.5)


async def _flaky(ctx: TaskContext, stage: Stage) -> None:
    if ctx.attempt < POLICY.max_attempts:
        raise ConnectionResetError("the upstream fails twice")


async def _doomed(ctx: TaskContext, stage: Stage) -> None:
    if ctx.job.generation == 1:
        raise ConnectionResetError("the upstream fails for ever")


async def _snooze(ctx: TaskContext, stage: Stage) -> None:
    if ctx.job.id not in stage.seen:
        stage.seen.add(ctx.job.id)
        raise signals.Snooze(delay_seconds=stage.random.random() * 2.0)


async def _wait(ctx: TaskContext, stage: Stage, *, longest_seconds: float = 1.0) -> None:
    if ctx.job.id in stage.approved:
        return
    stage.ask_for_approval(JobId(ctx.job.id), stage.random.random() * longest_seconds)
    await asyncio.sleep(stage.random.random() * 0.5)
    raise signals.Park("approval")


async def _wait_shortly(ctx: TaskContext, stage: Stage) -> None:
    await _wait(ctx, stage, longest_seconds=0.2)


async def _call(ctx: TaskContext, stage: Stage) -> None:
    stage.call()
    await asyncio.sleep(stage.random.random() * 0.5)


async def _has_children(ctx: TaskContext, stage: Stage) -> None:
    await asyncio.sleep(stage.random.random() * 0.5)
    await ctx.map(play, [("work",), ("flaky",), ("work",)])
    await asyncio.sleep(stage.random.random() * 0.5)


async def _collects(ctx: TaskContext, stage: Stage) -> None:
    # The judge sees whether it ends while one of them is open.
    await ctx.map(play, [(part,) for part in COLLECTED], on_failure="collect")


async def _waits_for_one_that_is_cancelled(ctx: TaskContext, stage: Stage) -> None:
    await ctx.map(play, [("wait for nothing",)], on_failure="collect")


async def _leaves_children(ctx: TaskContext, stage: Stage) -> None:
    await ctx.map(play, [("wait for nothing",), ("tidy",), ("work",)])


async def _wait_for_nothing(ctx: TaskContext, stage: Stage) -> None:
    raise signals.Park("what never comes")


_PARTS: Final[dict[str, Callable[..., object]]] = {
    "work": _work,
    "long": _long,
    "tidy": _tidy,
    "flaky": _flaky,
    "doomed": _doomed,
    "snooze": _snooze,
    "wait": _wait,
    "wait shortly": _wait_shortly,
    "wait for nothing": _wait_for_nothing,
    "call": _call,
    "has children": _has_children,
    "collects": _collects,
    "waits for a cancelled child": _waits_for_one_that_is_cancelled,
}


def jobs(random: Random, seed: int) -> list[NewJob]:
    """Write the requests of a run."""

    def soon() -> float:
        return max(0.0, random.random() * 6.0 - 2.0)

    wanted = [
        ("work", soon(), None), ("work", soon(), None), ("work", soon(), None), ("work", soon(), None),
        ("long", soon(), None), ("long", soon(), None), ("long", soon(), None), ("tidy", soon(), None),
        ("flaky", soon(), None), ("doomed", soon(), None), ("snooze", soon(), None),
        ("wait", soon(), None), ("wait shortly", soon(), None), ("wait shortly", soon(), None),
        ("wait for nothing", soon(), 8.0),
        ("call", soon(), None), ("call", soon(), None), ("call", soon(), None), ("call", soon(), None),
    ]  # fmt: skip
    made = [_job(number, part, delay, deadline) for number, (part, delay, deadline) in enumerate(wanted)]
    return [
        *made,
        _job(len(made), "cancelled while scheduled", 60.0, None, task_name=PLAY),
        _job(len(made) + 1, "cancelled while available", 0.0, None, task_name=NOT_OFFERED),
        _job(len(made) + 2, "cancelled while parked", 0.0, None, task_name=PLAY),
        _job(len(made) + 3, "cancelled while running", 0.0, None, task_name=PLAY),
        _job(len(made) + 4, "expires while scheduled", 60.0, 4.0, task_name=PLAY),
        _job(len(made) + 5, "never offered", 0.0, None, task_name=NOT_OFFERED),
        *_extras(seed, len(made) + 6, soon),
    ]


def _extras(seed: int, number: int, soon: Callable[[], float]) -> list[NewJob]:
    """A third of the runs has families, a third a limit: so that most of a run's time is not theirs."""
    match seed % 3:
        case 1:
            families = (
                "has children", "collects", "waits for a cancelled child", "cancelled with its children",
            )  # fmt: skip
            return [_job(number + place, part, soon(), None) for place, part in enumerate(families)]
        case 2:
            return [
                _job(number + place, "work", soon(), None, task_name=LIMITED)
                for place in range(2 * MOST_LIMITED + 1)
            ]
        case _:
            return []


_PARTS["cancelled while scheduled"] = _work
_PARTS["cancelled while parked"] = _wait_for_nothing
_PARTS["cancelled with its children"] = _leaves_children
_PARTS["cancelled while running"] = _tidy
_PARTS["expires while scheduled"] = _work


def _job(number: int, part: str, delay: float, deadline: float | None, *, task_name: str = PLAY) -> NewJob:
    return NewJob(
        id=JobId(f"job-{number:02}:{part.replace(' ', '-')}"),
        task=task_name,
        arguments=f'{{"part":"{part}"}}',
        tenant=TENANTS[number % len(TENANTS)],
        delay_seconds=delay,
        deadline_seconds=deadline,
    )
