"""Load the modules in which users keep their tasks."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from holdfast.jobs.errors import PlatformError, SettingsError

ENTRY_POINT_GROUP: Final = "holdfast.tasks"
_OURS: Final = Path(__file__).parent


def load_modules(names: Sequence[str], *, with_entry_points: bool = True) -> list[ModuleType]:
    """Import the named modules, and those that installed packages announce as `holdfast.tasks`.

    Raises SettingsError with module, file and line of the first that fails,
    the original error chained. Nothing is left half registered that matters:
    the process is meant to stop.
    """
    announced = [point.module for point in entry_points(group=ENTRY_POINT_GROUP)] if with_entry_points else []
    return [_load(name) for name in dict.fromkeys([*names, *announced])]


def see_working_directory() -> None:
    """Let modules of the working directory be imported, for as long as this process lives.

    Celery shows it to what a worker imports at its start, and takes it away again: a handler that
    imports later, and the processes of isolated jobs, would not find what stands beside the task.
    """
    folder = os.getcwd()  # noqa: PTH109 -- sys.path holds texts
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SettingsError(
                detail=f"the task module {name!r} is not there",
                hint="Mend HOLDFAST_TASK_MODULES, or start from the folder that holds the module.",
            ) from error
        raise _failed(name, error) from error
    except Exception as error:
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> SettingsError:
    where = _where(error)
    text = error.detail if isinstance(error, PlatformError) else str(error)
    return SettingsError(
        detail=f"the task module {name!r} cannot be imported: {type(error).__name__}: {text} ({where})",
        hint="Mend the module and start again.",
    )


def _where(error: Exception) -> str:
    """Return file and line of the user's code that failed: the last that is neither Python's nor ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _is_machinery(frame.filename)]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}" if theirs else "no source line is known"


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<frozen") or filename == importlib.__file__ or Path(filename).parent == _OURS
