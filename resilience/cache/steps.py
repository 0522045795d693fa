"""How an answer is fetched, written once for callers with and without an event loop.

A plan is a generator that decides and does nothing by itself: it yields what is
to be done and is sent what came of it. `run` and `arun` do it.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from holdfast.resilience.cache.link import Link
from holdfast.resilience.cache.store import CacheStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the shared store."""

    question: Callable[[CacheStore], Any]
    otherwise: Any = None
    """What comes of it where the store does not answer."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the shared store something; False comes of it where that does not answer, or is not there."""

    action: Callable[[CacheStore], None]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let some time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Make:
    """Call the function that makes the answer."""


Step: TypeAlias = Ask | Tell | Wait | Make
Plan: TypeAlias = Generator[Step, Any, T]


def run(plan: Plan[T], link: Link, function: Callable[[], object]) -> T:
    """Do what a plan says, on this thread."""
    try:
        step = next(plan)
        while True:
            try:
                result = _do(step, link, function)
            except BaseException as error:  # noqa: BLE001 -- the plan decides, and raises what is not its business
                step = plan.throw(error)
            else:
                step = plan.send(result)
    except StopIteration as stop:
        answer: T = stop.value
        return answer


async def arun(plan: Plan[T], link: Link, function: Callable[[], Awaitable[object]]) -> T:
    """Do the same on an event loop, without blocking it."""
    try:
        step = next(plan)
        while True:
            try:
                result = await _ado(step, link, function)
            except BaseException as error:  # noqa: BLE001 -- as above
                step = plan.throw(error)
            else:
                step = plan.send(result)
    except StopIteration as stop:
        answer: T = stop.value
        return answer


def _do(step: Step, link: Link, function: Callable[[], object]) -> object:
    match step:
        case Ask(question, otherwise):
            return link.ask(question, otherwise)
        case Tell(action):
            return link.tell(action)
        case Wait(seconds):
            return threading.Event().wait(seconds)
        case Make():
            return function()


async def _ado(step: Step, link: Link, function: Callable[[], Awaitable[object]]) -> object:
    match step:
        # No thread is asked for nothing.
        case Ask(question, otherwise):
            if not link.is_worth_asking():
                return otherwise
            return await asyncio.to_thread(link.ask, question, otherwise)
        case Tell(action):
            return link.is_worth_asking() and await asyncio.to_thread(link.tell, action)
        case Wait(seconds):
            await asyncio.sleep(seconds)
            return None
        case Make():
            return await function()
