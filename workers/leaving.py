"""The end of a worker process, whatever its handlers left running."""

import os
import threading
from typing import Final

from holdfast.workers.threads import NoThread, start

LAST_SECONDS: Final = 5.0
"""How long the process may take to end when all is written."""


def leave_for_certain(exit_code: int) -> None:
    """End this process in five seconds, with this exit code, if it has not ended by itself.

    The interpreter waits for threads that a handler started, for ever if need
    be; everything of ours is written by now.
    """
    timer = threading.Timer(LAST_SECONDS, os._exit, args=(exit_code,))
    timer.daemon = True
    try:
        start(timer)
    except NoThread:
        # Who cannot even wait goes at once.
        os._exit(exit_code)
