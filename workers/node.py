"""The worker as Celery starts it, under a name that no other process has."""

import secrets
import warnings
from typing import Any

from celery.apps.worker import Worker
from celery.utils.nodenames import default_nodename, nodesplit


class HoldfastWorker(Worker):
    """Celery's worker program with a name of its own unless it was given one.

    Celery's default name is the host's, so the second worker of a host would
    fight the first one for its queue of remote control: RabbitMQ refuses it
    for ever, and Redis lets both answer (B5).
    """

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        """Take Celery's arguments."""
        if hostname is None or hostname == default_nodename(""):
            hostname = own_name()
        # Told at each lost connection about a setting that celeryconfig.py sets on purpose.
        warnings.filterwarnings("ignore", message="(?s).*optional breaking change.*connection loss")
        super().__init__(app=app, hostname=hostname, **options)


def own_name() -> str:
    """Make a node name with a random part: `holdfast-1a2b3c@host`."""
    _, host = nodesplit(default_nodename(""))
    return f"holdfast-{secrets.token_hex(3)}@{host}"
