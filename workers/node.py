"""The worker as Celery starts it, under a name that no other process has."""

import logging
import os
import secrets
import sys
import warnings
from pathlib import Path
from typing import Any, Final

from celery.apps.worker import Worker
from celery.utils.nodenames import default_nodename, nodesplit

from holdfast.workers.companion.link import link_of_this_process
from holdfast.workers.starting import told_in_one_line
from holdfast.workers.stop_signals import StopSignals

_log: Final = logging.getLogger(__name__)
COMPANION: Final = "holdfast.workers.companion"


class HoldfastWorker(Worker):
    """Celery's worker program with a name of its own unless it was given one.

    Celery's default name is the host's, so the second worker of a host would
    fight the first one for its queue of remote control: RabbitMQ refuses it
    for ever, and Redis lets both answer (B5).
    """

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        """Take Celery's arguments."""
        if (app or self.app).settings.worker_companion and link_of_this_process() is None:
            start_again_with_companion()
        if hostname is None or hostname == default_nodename(""):
            hostname = own_name()
        # Told at each lost connection about a setting that celeryconfig.py sets on purpose.
        warnings.filterwarnings("ignore", message="(?s).*optional breaking change.*connection loss")
        with told_in_one_line():
            super().__init__(app=app, hostname=hostname, **options)

    def install_platform_tweaks(self, worker: Any) -> None:
        """Take Celery's, and hear the signals that end a worker in our way."""
        super().install_platform_tweaks(worker)
        StopSignals(worker).install()


def own_name() -> str:
    """Make a node name with a random part: `holdfast-1a2b3c@host`."""
    _, host = nodesplit(default_nodename(""))
    return f"holdfast-{secrets.token_hex(3)}@{host}"


def start_again_with_companion() -> None:
    """Replace this process, which runs `celery worker`, by a companion that runs the same.

    Where the worker was started from inside another program it stays as it
    is, and beats for itself.
    """
    if not _is_celery_command(sys.argv[0]):
        _log.warning("started inside another program, so without a companion: a C call can cost a lease")
        return
    command = [sys.executable, *_options(), "-P", "-m", COMPANION, *sys.argv[1:]]
    os.execv(command[0], command)  # noqa: S606 -- our own interpreter, no shell


def _is_celery_command(program: str) -> bool:
    path = Path(program)
    return path.name == "celery" or (path.name == "__main__.py" and path.parent.name == "celery")


def _options() -> list[str]:
    # Between the interpreter and its program: -X dev, -W error, and the like.
    before = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    return before[:-2] if before[-2:-1] == ["-m"] else before[:-1]
