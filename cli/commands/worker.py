"""`holdfast worker`: Celery's worker with our application."""

import os
import secrets
import socket

import typer

from holdfast.cli.worker_command import worker_argv
from holdfast.settings import load


def worker(context: typer.Context) -> None:
    """Run one worker in the foreground; SIGTERM or Ctrl-C lets running jobs end, then hands the rest back.

    The same as `celery -A holdfast.workers.app worker`, whose options it takes. Slots, queues and
    limits come from the settings (`holdfast doctor` shows them).
    """
    settings = load()
    settings.broker()  # before Celery looks, whose error would be a traceback
    argv = worker_argv(
        # In a container every pid is 1, and hosts may share a name: a twin would not be let in.
        name=f"holdfast-{secrets.token_hex(3)}@{socket.gethostname()}",
        log_level=settings.log_level,
        has_companion=settings.worker_companion,
    )
    # Later options win, so what the user says stands.
    os.execv(argv[0], [*argv, *context.args])  # noqa: S606 -- our own interpreter, no shell
