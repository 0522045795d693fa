"""Plain Celery tasks for tests of the worker, loaded beside our own."""

import sys
from typing import Any

from celery import shared_task


@shared_task(name="plain.moody", bind=True, max_retries=3)
def moody(self: Any, good_try: int) -> int:
    """Ask Celery for another try until it is the one."""
    if self.request.retries < good_try:
        raise self.retry(countdown=0.05)
    return int(self.request.retries)


@shared_task(name="plain.broken")
def broken(message: str) -> None:
    """Fail."""
    raise ValueError(message)


@shared_task(name="plain.leave")
def leave() -> None:
    """Call sys.exit, which must end neither the worker nor its tables."""
    sys.exit(3)
