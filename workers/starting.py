"""A worker that cannot start says why, and what to do, in one line instead of a traceback."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from holdfast.jobs.errors import PlatformError

DOES_NOT_START: Final = 1
"""The exit code: whoever supervises the worker tries again, as the reason may pass."""

_log: Final = logging.getLogger(__name__)


@contextmanager
def told_in_one_line() -> Generator[None]:
    """Log an error of ours and end the program. The traceback comes with level DEBUG."""
    try:
        yield
    except PlatformError as error:
        _log.critical("this worker does not start: %s", error)
        _log.debug("where that came from", exc_info=True)
        raise SystemExit(DOES_NOT_START) from error
