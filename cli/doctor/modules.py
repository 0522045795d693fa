"""The user's task modules: can they be imported."""

from collections.abc import Iterator

from holdfast.cli.doctor.verdict import Verdict, failure, fine, note
from holdfast.jobs.errors import SettingsError
from holdfast.settings import Settings
from holdfast.tasks.modules import load_modules, see_working_directory


def look_at_modules(settings: Settings) -> Iterator[Verdict]:
    """Import each named module from the working directory, as a worker would."""
    see_working_directory()
    try:
        announced = load_modules([])
    except SettingsError as error:
        yield failure("installed tasks", error.detail, "pip check")
    else:
        if announced:
            yield fine("installed tasks", ", ".join(module.__name__ for module in announced))
    if not settings.task_modules:
        yield note(
            "task modules",
            "none named; only tasks of installed packages are known",
            "export HOLDFAST_TASK_MODULES=my_tasks",
        )
    for name in settings.task_modules:
        try:
            load_modules([name], with_entry_points=False)
        except SettingsError as error:
            yield failure(f"module {name}", error.detail, f"python -c 'import {name}'")
        else:
            yield fine(f"module {name}", "imported")
