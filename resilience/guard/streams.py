"""Guarded functions that yield: the first item says whether the upstream is slow, the end how the call went.

A stream that its consumer closes early says nothing about the upstream. Nothing
is tried again: items that were seen cannot be taken back.
"""

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from typing import Any

from holdfast.resilience.guard.attempt import Attempt
from holdfast.resilience.guard.entrance import Entrance
from holdfast.resilience.guard.frame import FRAME


def guarded_stream(
    entrance: Entrance, function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Guard an asynchronous generator function."""

    @functools.wraps(function)
    async def stream(*arguments: object, **options: object) -> AsyncGenerator[Any, Any]:
        """Yield what it yields, guarded."""
        attempt = await entrance.abegin()
        try:
            async with aclosing(function(*arguments, **options)) as items:
                while True:
                    try:
                        item = await _anext_of(items, entrance, attempt)
                    except StopAsyncIteration:
                        break
                    attempt.has_begun_to_answer()
                    yield item
        except BaseException as error:
            attempt.fail(error)
            raise
        attempt.succeed()

    return stream


def guarded_generator(
    entrance: Entrance, function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Guard a generator function."""

    @functools.wraps(function)
    def generate(*arguments: object, **options: object) -> Generator[Any, Any, Any]:
        attempt = entrance.begin()
        result: Any = None
        try:
            with closing(function(*arguments, **options)) as items:
                while True:
                    try:
                        item = _next_of(items, entrance, attempt)
                    except StopIteration as stop:
                        result = stop.value
                        break
                    attempt.has_begun_to_answer()
                    yield item
        except BaseException as error:
            attempt.fail(error)
            raise
        attempt.succeed(result)
        return result

    return generate


# A generator runs in the context of whoever asks it for the next item: the frame is set only meanwhile.


async def _anext_of(items: AsyncGenerator[Any, Any], entrance: Entrance, attempt: Attempt) -> object:
    token = FRAME.set(entrance.frame(attempt.until))
    try:
        return await anext(items)
    finally:
        FRAME.reset(token)


def _next_of(items: Generator[Any, Any, Any], entrance: Entrance, attempt: Attempt) -> object:
    token = FRAME.set(entrance.frame(attempt.until))
    try:
        return next(items)
    finally:
        FRAME.reset(token)
