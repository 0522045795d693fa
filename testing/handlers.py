"""A worker's tasks, with handlers that tell what they raised and can be stopped at an await."""

import asyncio
import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from holdfast.tasks.kind import Task
from holdfast.tasks.registry import Registry
from holdfast.tasks.spec import TaskSpec
from holdfast.testing.life import Life, Stepped

OnError = Callable[[BaseException], object]
Handler = Callable[..., Any]


def watched(specs: Iterable[TaskSpec], life: Life, on_error: OnError) -> Registry:
    """Offer these tasks on a worker with this life.

    `on_error` hears, in a handler's own context, what it raised.
    """
    registry = Registry()
    for spec in specs:
        handler = (
            _on_loop(spec.handler, life, on_error) if spec.is_async else _on_thread(spec.handler, on_error)
        )
        registry.add(Task(replace(spec, handler=handler)))
    return registry


def _on_loop(handler: Handler, life: Life, on_error: OnError) -> Handler:
    @functools.wraps(handler)
    async def watched_handler(*arguments: Any, **named: Any) -> Any:
        here = cast("asyncio.Task[Any]", asyncio.current_task())
        life.handlers.add(here)
        try:
            return await Stepped(handler(*arguments, **named), life)
        except BaseException as error:
            on_error(error)
            raise
        finally:
            life.handlers.discard(here)

    return watched_handler


def _on_thread(handler: Handler, on_error: OnError) -> Handler:
    @functools.wraps(handler)
    def watched_handler(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except BaseException as error:
            on_error(error)
            raise

    return watched_handler
