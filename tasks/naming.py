"""How a task gets its name and where it stands in the source."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from holdfast.jobs.errors import InvalidTask

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,199}\Z")


def task_name(handler: Callable[..., Any], wanted: str | None) -> str:
    """Return the wanted name, or `module.qualname`.

    In a script run as `__main__`, the module is the name it would be imported
    by, so that a worker which imports it knows the same task.
    """
    name = wanted if wanted is not None else f"{_module(handler)}.{_qualname(handler)}"
    if not _NAME.match(name):
        raise InvalidTask(
            detail=f"{name!r} is no name for a task ({place(handler)})",
            hint="Use 1 to 200 letters, digits and _ . : / -, as in @task(name='billing.charge').",
        )
    return name


def place(handler: Callable[..., Any]) -> str:
    """Return `file:line` of a handler."""
    code = getattr(inspect.unwrap(handler), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(handler)


def _module(handler: Callable[..., Any]) -> str:
    if handler.__module__ != "__main__":
        return handler.__module__
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return Path(getattr(main, "__file__", None) or "main").stem


def _qualname(handler: Callable[..., Any]) -> str:
    return handler.__qualname__.replace("<locals>.", "")
