"""`holdfast flower`: Flower for our workers, the same as `celery -A holdfast.workers.app flower`."""

import os
import sys

import typer

APP = "holdfast.workers.app"
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""For the registration of the command: every option goes to Flower."""


def flower(context: typer.Context) -> None:
    """Show workers and jobs in the browser. Takes Flower's own options, such as --port=5555.

    Listens on this machine only and asks for a password: HOLDFAST_FLOWER_PASSWORD, else one that
    is made up and printed once. See docs/monitoring.md.
    """
    # In place of this process: loading Flower here would slow every other command down.
    command = [sys.executable, "-P", "-m", "celery", "-A", APP, "flower", *context.args]
    os.execv(sys.executable, command)  # noqa: S606 -- a list of our own making, no shell
