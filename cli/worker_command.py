"""The command line of a worker, the one place that spells it."""

import sys
from typing import Final

APPLICATION: Final = "holdfast.workers.app"


COMPANION: Final = "holdfast.workers.companion"


def worker_argv(*, name: str, log_level: str, has_companion: bool = True) -> tuple[str, ...]:
    """Return the program and arguments of one worker; `name` may hold Celery's %h for the host.

    `-P` keeps the working directory off the path until Celery puts it there for
    the user's modules: a file of the user's called like a library stays harmless.
    """
    return (
        sys.executable, "-P", "-m", COMPANION if has_companion else "celery", "--app", APPLICATION,
        "worker", "--hostname", name, "--loglevel", log_level.upper(),
    )  # fmt: skip
